/** How long the first to come waits for the other. */
const meetingMs = 10_000;
const addresses = /^\/(client|runner)\/([0-9a-f]{16})$/;

export interface Party {
  side: string;
  /** Whom the client was given as the other side; of a runner, who it is. */
  runnerId: string;
  request: Request;
  answer(response: Response): void;
}

interface MeetingParts {
  /** Also for the wrong side or runner: an id says nothing to whom it was not given. */
  refusal: () => Response;
  /** Whether these two belong together beyond their address. */
  fit?: (first: Party, second: Party) => boolean;
  /** Each is to be answered in the end. */
  join: (first: Party, second: Party) => void;
}

/** A client and the runner that it was given, whichever comes first, once. */
export class Meeting {
  readonly #parts: MeetingParts;
  #waiting: Party | undefined;
  #over = false;

  constructor(parts: MeetingParts) {
    this.#parts = parts;
  }

  arrive(request: Request): Promise<Response> | Response {
    const { refusal, fit, join } = this.#parts;
    const [, side, runnerId] = addresses.exec(new URL(request.url).pathname) ?? [];
    if (side === undefined || runnerId === undefined || this.#over) return refusal();
    const { promise, resolve } = Promise.withResolvers<Response>();
    const party: Party = { side, runnerId, request, answer: resolve };
    const first = this.#waiting;
    if (!first) return this.#wait(party, promise);
    const belongs = first.side !== side && first.runnerId === runnerId && (fit?.(first, party) ?? true);
    if (!belongs) return refusal();
    this.#over = true;
    this.#waiting = undefined;
    join(first, party);
    return promise;
  }

  async #wait(party: Party, met: Promise<Response>): Promise<Response> {
    this.#waiting = party;
    const timer = setTimeout(() => {
      if (this.#waiting !== party) return;
      this.#over = true;
      this.#waiting = undefined;
      party.answer(this.#parts.refusal());
    }, meetingMs);
    try {
      return await met;
    } finally {
      clearTimeout(timer);
    }
  }
}

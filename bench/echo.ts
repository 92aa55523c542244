/** What a terminal shows, waited for. Only what arrives after waitFor() counts. */
export class Echo {
  readonly #decoder = new TextDecoder();
  #shown = '';
  #waiting: { text: string; resolve: () => void } | undefined;

  push(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (!this.#waiting) return;
    this.#shown += text;
    if (this.#shown.includes(this.#waiting.text)) this.#waiting.resolve();
  }

  /** Resolves once `text` was shown; rejects at the deadline with what was shown instead. One at a time. */
  async waitFor(text: string, deadlineMs: number): Promise<void> {
    if (this.#waiting) throw new Error(`${JSON.stringify(this.#waiting.text)} is still waited for`);
    this.#shown = '';
    let deadline: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiting = { text, resolve };
        deadline = setTimeout(
          () =>
            reject(new Error(`instead of ${JSON.stringify(text)} the terminal showed ${JSON.stringify(this.#shown)}`)),
          deadlineMs,
        );
      });
    } finally {
      clearTimeout(deadline);
      this.#waiting = undefined;
    }
  }
}

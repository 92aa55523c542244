/** What the worker's modules use of workerd, for the tests that import them into Node and don't call it. */
declare class FixedLengthStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(expectedLength: number | bigint);
}
declare class IdentityTransformStream extends TransformStream<Uint8Array, Uint8Array> {}

interface Crypto {
  DigestStream: new (algorithm: string) => WritableStream<ArrayBuffer | ArrayBufferView> & {
    readonly digest: Promise<ArrayBuffer>;
  };
}

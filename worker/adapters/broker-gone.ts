/** The shard itself broke (deploy, eviction): what it was doing is unknown. */
export class BrokerGone extends Error {}

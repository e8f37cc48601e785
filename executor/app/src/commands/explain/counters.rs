//! What the counters of `status` and `/metrics` mean that are no refusals: by the name of what counts them.

/// A name and what it counts.
type Text = (&'static str, &'static str);

/// Of a source's receiving end, before the core sees anything.
const RECEIVED: [Text; 28] = [
    (
        "datagram_received",
        "datagrams that arrived, refused ones included",
    ),
    (
        "oversize",
        "longer than a frame; something that is no shred arrives on the port",
    ),
    (
        "frames_full",
        "every frame was with the core, and the newest was dropped; the core does not keep up, see threads",
    ),
    (
        "malformed",
        "headers of a packet contradict each other (xdp only)",
    ),
    (
        "kernel_dropped",
        "the socket's buffer was full; raise the source's receive buffer and net.core.rmem_max",
    ),
    (
        "frames_exhausted",
        "times no frame was free to receive into; with xdp datagrams are lost by that, else they wait",
    ),
    (
        "stamp_missing",
        "came without the stamp of the kernel or the card and were stamped here: later than they arrived",
    ),
    (
        "receive_failed",
        "receiving failed otherwise; see the kernel's log",
    ),
    ("connection_accepted", "QUIC connections taken"),
    ("connection_closed", "QUIC connections that have ended"),
    (
        "retry_sent",
        "addresses that were asked to prove that they exist",
    ),
    (
        "not_pinned",
        "the peer's key is not among the source's peers; add its identity if it is yours",
    ),
    (
        "bad_certificate",
        "no certificate, or one without an Ed25519 key",
    ),
    (
        "bad_signature",
        "the peer does not hold the key that it showed",
    ),
    (
        "wrong_alpn",
        "no application protocol in common; compare alpn at both ends",
    ),
    (
        "handshake_timeout",
        "the handshake did not end in time; look at the way",
    ),
    ("handshake_failed", "the handshake failed in any other way"),
    ("handshake_limit", "too many handshakes at once"),
    (
        "network_limit",
        "too many handshakes at once from one network",
    ),
    (
        "peer_replaced",
        "a peer connected anew beyond what one may hold: its oldest connection was closed",
    ),
    (
        "stream",
        "the peer opened a stream; only datagrams are taken",
    ),
    ("violation", "the peer broke QUIC in any other way"),
    ("empty", "datagrams without content"),
    (
        "stale",
        "dropped unread, the oldest first: the connection's buffer was full",
    ),
    (
        "not_quic",
        "packets that are no QUIC of version 1, on a QUIC source's port",
    ),
    (
        "other_version",
        "packets of another version of QUIC; they are answered with the one that is spoken",
    ),
    ("short_initial", "first packets of less than 1200 bytes"),
    (
        "no_connection",
        "packets of a connection that is not, or not any more",
    ),
];

/// Of the resolver.
const RESOLVED: [Text; 21] = [
    ("datagram", "datagrams handed to the resolver"),
    ("shred_accepted", "shreds used"),
    ("set_opened", "versions of FEC sets begun"),
    (
        "set_discarded",
        "sets dropped since their leader did not sign them, found out on the verify thread; forged, or wrong leaders",
    ),
    (
        "set_recovered",
        "sets that lacked shreds and were made whole",
    ),
    ("shred_recovered", "data shreds brought back by that"),
    (
        "set_code_mismatched",
        "sets whose authentic code shreds do not belong to their data shreds; a faulty leader",
    ),
    (
        "set_evicted",
        "sets that gave way before all their transactions were out; raise ingest.fec_sets_max if it grows",
    ),
    ("signature_checked", "leaders' signatures checked"),
    ("transaction", "transactions handed on"),
    (
        "transaction_malformed",
        "whole transactions that no validator would execute, not handed on",
    ),
    (
        "transaction_unverified",
        "of those handed on, before their set was authenticated (policy unverified)",
    ),
    (
        "transaction_revoked",
        "unverified transactions that turned out forged",
    ),
    ("batch_completed", "entry batches read to their end"),
    (
        "batch_malformed",
        "entry batches that ended inside an entry, or held bytes that are none",
    ),
    ("marker", "block markers seen"),
    ("block_completed", "blocks whole from first to last entry"),
    ("block_abandoned", "blocks that their leader gave up"),
    (
        "parent_updated",
        "times a leader moved its block to another parent",
    ),
    (
        "equivocation",
        "sets with a second authentic root; a faulty leader",
    ),
    (
        "window_resynced",
        "times the window of slots was moved after a silence",
    ),
];

/// Of the engine.
const ENGINE: [Text; 20] = [
    ("launch_decoded", "launches seen"),
    ("trade_decoded", "trades seen"),
    (
        "pool_event_decoded",
        "calls of pools' programs seen, those inferred from a router's call included",
    ),
    (
        "truth_handled",
        "records of account data held against what was reckoned",
    ),
    ("intent_made", "intents offered to the risk gate"),
    ("bundle_handed", "signed bundles handed to submit"),
    (
        "bundle_refused",
        "bundles that submit had no room for; the lane does not keep up",
    ),
    ("entry_included", "own entries seen in blocks"),
    ("exit_included", "own exits seen in blocks"),
    ("own_expired", "own transactions that can no longer land"),
    ("own_rejected", "own transactions that a lane rejected"),
    (
        "own_failed",
        "own transactions in a block that did nothing there, by what account data says or by its silence",
    ),
    (
        "own_unknown",
        "own transactions in a block of which nobody knows yet what they did; their money stays reserved until account \
         data says",
    ),
    (
        "own_unknown_landed",
        "those that account data says did what they were sent for",
    ),
    (
        "own_unknown_assumed",
        "entries among them that nothing was told of, taken for landed; look at the wallet",
    ),
    (
        "holding_unexplained",
        "times account data told of coins that we hold without a position; look at the wallet",
    ),
    (
        "holding_reconciled",
        "positions that account data says are smaller than the books had them; they follow it down",
    ),
    (
        "holding_surplus",
        "times account data told of more tokens than the books have: gifts, or purchases from elsewhere",
    ),
    ("signal_armed", "signals of a brain that were taken"),
    (
        "signal_fired",
        "signals of a brain whose bundle was handed over",
    ),
];

/// Of the tables of curves and pools.
const MARKET: [Text; 24] = [
    (
        "curve_inserted",
        "curves taken in, from launches or account data",
    ),
    (
        "curve_evicted",
        "curves forgotten to make room; raise engine.curves_max if coins you trade are among them",
    ),
    (
        "curve_refused",
        "curves not taken in, since every place holds a position or an intent; raise engine.curves_max",
    ),
    (
        "curve_doubted",
        "curves not traded until account data says what they are: a block was void, forged or told twice",
    ),
    (
        "curve_switched",
        "curves that went on from another fork's state than the one they stood at",
    ),
    (
        "curve_restored",
        "curves taken back to before a block that is void",
    ),
    ("curve_trade_applied", "trades that moved a curve"),
    (
        "curve_trade_replayed",
        "trades reckoned again on what account data of an earlier block said",
    ),
    (
        "curve_trade_failed",
        "trades that the program refuses on the reserves as reckoned; usual, limits are missed",
    ),
    ("pool_inserted", "pools that account data brought in"),
    (
        "pool_evicted",
        "pools forgotten to make room; raise engine.pools_max if pools you trade are among them",
    ),
    (
        "pool_refused",
        "pools not taken in, since every place holds a position or an intent; raise engine.pools_max",
    ),
    (
        "pool_doubted",
        "pools not traded until account data says what they are: a block was void, forged or told twice",
    ),
    (
        "pool_switched",
        "pools that went on from another fork's state than the one they stood at",
    ),
    (
        "pool_restored",
        "pools taken back to before a block that is void",
    ),
    ("pool_swap_applied", "swaps that moved a pool"),
    (
        "pool_swap_failed",
        "swaps that the program refuses on the state as reckoned; usual, limits are missed",
    ),
    (
        "pool_change_unread",
        "changes of pools whose outcome no shred tells: liquidity, and swaps inside a router's call",
    ),
    (
        "pool_caught_up",
        "pools behind that are traded again: no change of theirs was told, so what kept them shut came to nothing",
    ),
    (
        "pool_way_refused",
        "swaps not read because their transaction had others that took a derivation each; their pools are behind",
    ),
    (
        "pool_change_replayed",
        "changes of pools reckoned again on what account data of an earlier block said",
    ),
    (
        "pool_terms_taken",
        "changes of a configuration taken without the pool that depends on it",
    ),
    (
        "pool_left",
        "coins of ours sold elsewhere than bought, since the pool was emptied",
    ),
    (
        "pool_migrated",
        "migrations of launch pads' curves seen, by who alone may",
    ),
];

/// Of account data held against what was reckoned from shreds, by venue.
const TRUTH: [Text; 4] = [
    ("truth_agreed", "account data that says what was reckoned"),
    (
        "truth_diverged",
        "account data that says something else, which was taken over: trades inside other programs' calls, lost \
         shreds, changed fees; when it grows beside truth_agreed the prices of that venue cannot be relied on",
    ),
    (
        "truth_behind",
        "account data of what was known to be behind or doubtful: liquidity moved, a swap whose outcome no shred tells, a \
         void block; nothing was claimed, so it says nothing against the arithmetic",
    ),
    (
        "truth_stale",
        "account data older than what was taken before; usual where two nodes tell the same",
    ),
];

/// Of the accounts thread.
const ACCOUNTS: [Text; 17] = [
    ("account_taken", "accounts taken from the feed"),
    (
        "account_other_owner",
        "accounts of programs that are not read; ask the feed for fewer",
    ),
    (
        "account_stale",
        "accounts older than what was taken of them before",
    ),
    (
        "account_rejected",
        "accounts whose bytes are not understood; a program may have changed its layout",
    ),
    (
        "curve_untracked",
        "curves of coins whose mint was never told: they do not name it",
    ),
    (
        "pool_incomplete",
        "times a pool waited for one of its accounts, or for all of them as one transaction left them",
    ),
    (
        "pool_dangerous",
        "times a pool was held back, since its coin may hurt who holds it or its vault is frozen",
    ),
    (
        "terms_taken",
        "accounts taken that a venue's terms are read from",
    ),
    ("table_taken", "lookup tables taken"),
    ("update_emitted", "records made for the core"),
    (
        "update_refused",
        "records that the ring had no room for: what they are of is as reckoned until told again; the core does not \
         keep up",
    ),
    (
        "terms_published",
        "times the venues' terms have changed for the core",
    ),
    (
        "terms_rejected",
        "times the venues' terms did not fit together; the old ones stay",
    ),
    (
        "tables_published",
        "times the core was given another set of lookup tables",
    ),
    (
        "account_old_feed",
        "accounts told by a feed that another one has taken over from",
    ),
    ("holding_taken", "balances of our own told to the core"),
    (
        "pool_deferred",
        "pools told again bit by bit, since very many depend on an account that changed",
    ),
];

/// Why a curve or a pool is not traded.
const UNTRADABLE: [Text; 10] = [
    (
        "mayhem",
        "the mayhem program trades against the curve, and buys on it may skip their minimum",
    ),
    (
        "quote_not_sol",
        "it is priced in something other than SOL; only SOL is traded",
    ),
    (
        "quote_unknown",
        "what it is priced in sits behind a lookup table; see market.lookup_tables",
    ),
    (
        "accounts_unresolved",
        "the curve's own accounts sit behind a lookup table; see market.lookup_tables",
    ),
    (
        "holder_reward",
        "its creator fee goes to holders; what such a trade has to name is not modelled",
    ),
    (
        "complete",
        "the curve is sold out; trading goes on in the pool it becomes",
    ),
    (
        "doubtful",
        "its last updates came from a block that is void, forged or told twice; account data ends the doubt",
    ),
    (
        "cashback_needs_v1",
        "a cashback coin's PumpSwap pool, which none of the instructions we build trades",
    ),
    (
        "behind",
        "liquidity moved, or a swap whose outcome no shred tells; account data says what came of it",
    ),
    (
        "dangerous",
        "somebody can take the coin from whoever holds it, or keep it from being sold",
    ),
];

/// Of blocks and slots.
const CHAIN: [Text; 11] = [
    ("set_linked", "FEC sets that found their place in the chain"),
    (
        "set_unplaced",
        "FEC sets that found none, or whose slot was forgotten",
    ),
    ("block_linked", "whole blocks that found their parent"),
    (
        "block_unplaced",
        "whole blocks that found none, or whose slot was forgotten",
    ),
    ("fork_seen", "second blocks on one parent or of one slot"),
    (
        "slot_skipped",
        "slots jumped over of which nothing had come",
    ),
    (
        "slot_abandoned",
        "slots jumped over of which shreds had come, and no whole block",
    ),
    ("slot_orphaned", "slots jumped over that had a whole block"),
    (
        "slot_aborted",
        "slots that their leader ended without a block",
    ),
    ("parent_updated", "blocks moved onto another parent"),
    (
        "set_equivocated",
        "FEC sets with two roots; a faulty leader",
    ),
];

/// Of votes in own shreds.
const VOTES: [Text; 10] = [
    ("vote_counted", "votes counted; a hint, no confirmation"),
    ("vote_malformed", "votes that are no legal instruction"),
    (
        "vote_unauthenticated",
        "votes in parts of blocks that are unverified or void",
    ),
    (
        "voter_unknown",
        "votes of accounts without stake, or before the stakes are known",
    ),
    (
        "vote_unsigned",
        "votes that the account's node did not sign",
    ),
    (
        "vote_out_of_range",
        "votes for a slot that is not below the block's own, or too far below",
    ),
    (
        "vote_repeated",
        "further votes of a voter for a slot; usual, several blocks include the same vote",
    ),
    ("hash_displaced", "bank hashes that gave way to others"),
    (
        "third_hinted",
        "bank hashes that more than a third of the stake is seen to have voted for",
    ),
    (
        "two_thirds_hinted",
        "bank hashes that more than two thirds of the stake is seen to have voted for",
    ),
];

/// Of asking an RPC node for leaders.
const LEADERS: [Text; 6] = [
    (
        "round_completed",
        "rounds of questions in which everything came and fitted",
    ),
    (
        "question_failed",
        "questions without an answer; is the RPC node up?",
    ),
    (
        "answer_refused",
        "answers that do not fit; last_failure of status says why",
    ),
    (
        "epoch_unknown",
        "epochs whose leaders the node does not know yet; usual in the first half of an epoch",
    ),
    ("epoch_taken", "epochs whose leaders were taken"),
    ("stakes_taken", "times the stakes were taken"),
];

/// Of the bridge.
const BRIDGE: [Text; 12] = [
    ("signal_accepted", "signals handed to the core"),
    (
        "signal_tested",
        "signals with the test flag that passed every check and were not armed",
    ),
    (
        "signal_clamped",
        "signals whose notional was lowered to the producer's cap",
    ),
    (
        "signal_skipped",
        "sequence numbers that never came; signals were lost on the way",
    ),
    ("heartbeat_accepted", "heartbeats answered"),
    ("hello_answered", "hellos answered with a challenge"),
    ("session_opened", "sessions whose brain proved its key"),
    (
        "session_replaced",
        "sessions that a newer one of the same producer ended",
    ),
    (
        "peer_quarantined",
        "connections that sent too much that is refused",
    ),
    (
        "producer_quarantined",
        "producers that sent too much that is refused",
    ),
    (
        "peer_evicted",
        "connections forgotten to make room for new ones",
    ),
    (
        "reply_dropped",
        "answers that the peer did not take in time",
    ),
];

/// Of asking a block engine for shreds.
const SHREDSTREAM: [Text; 13] = [
    ("session_started", "connections begun, failed ones included"),
    (
        "heartbeat_acknowledged",
        "heartbeats that the engine answered",
    ),
    ("challenge_signed", "tokens got by signing a challenge"),
    ("token_refreshed", "access tokens got for a refresh token"),
    (
        "token_forgotten",
        "access tokens that the engine took no more",
    ),
    (
        "ttl_bounded",
        "answers that wanted heartbeats more or less often than this client sends them",
    ),
    (
        "unreachable",
        "sessions that ended for want of a connection",
    ),
    ("timeout", "sessions that ended without an answer in time"),
    (
        "unauthenticated",
        "sessions whose token was refused; is the key known to the engine?",
    ),
    (
        "refused",
        "sessions that the engine refused: an address that is not ours, an unknown region, no permission",
    ),
    ("rate_limited", "sessions ended for too many calls"),
    (
        "protocol",
        "sessions ended by an answer that does not follow the protocol",
    ),
    (
        "silent",
        "sessions in which heartbeats were answered and no shred came; look at the firewall and the address",
    ),
];

/// Of a relay, its destinations, its nodes, and the clients of its entries.
const RELAY: [Text; 41] = [
    (
        "first",
        "shreds that a source brought to the relay first, and that were passed on",
    ),
    (
        "not_first",
        "datagrams of a source that were late or refused",
    ),
    ("shred_passed", "shreds passed on, each once"),
    ("set_opened", "versions of FEC sets begun"),
    ("signature_checked", "leaders' signatures checked"),
    (
        "window_resynced",
        "times the window of slots was moved after a silence",
    ),
    (
        "nodes_offered",
        "shreds handed to the connections to other nodes",
    ),
    ("nodes_refused", "shreds that those had no room for"),
    ("entries_offered", "shreds handed to the service of entries"),
    ("entries_dropped", "shreds that it had no room for"),
    (
        "datagram_sent",
        "shreds handed to the kernel, or to QUIC, for a destination",
    ),
    ("full_dropped", "shreds dropped because the socket was full"),
    (
        "failed_dropped",
        "shreds that the kernel refused to send: no route, a firewall",
    ),
    (
        "unreachable_told",
        "times the destination's host said that nobody listens there",
    ),
    (
        "stale_dropped",
        "shreds dropped, the oldest first: the way to the node is too slow",
    ),
    (
        "unconnected_dropped",
        "shreds dropped for want of a connection to the node",
    ),
    (
        "unsendable_dropped",
        "shreds that the node takes no datagrams of that length for",
    ),
    ("connection_opened", "connections to the node made"),
    (
        "connection_ended",
        "connections to the node that have ended",
    ),
    ("connect_failed", "tries to connect that failed"),
    (
        "identity_refused",
        "tries that somebody else than the pinned identity answered",
    ),
    ("shred_received", "shreds that the service of entries read"),
    (
        "shred_surplus",
        "of these, shreds of sets that were whole already",
    ),
    (
        "set_recovered",
        "sets that lacked shreds and were made whole",
    ),
    ("batch_assembled", "entry batches sent"),
    ("message_made", "messages made of them"),
    ("entry_made", "entries in them"),
    ("transaction_made", "transactions in those"),
    (
        "v1_seen",
        "transactions of version 1 met, sent or left out (relay.entries.v1)",
    ),
    ("marker_skipped", "batches without entries: block markers"),
    ("batch_malformed", "batches that are no entries"),
    (
        "batch_incomplete",
        "batches of which a part had to make room before the rest came",
    ),
    (
        "entry_oversize",
        "entries longer than a message may be; clients are told that they miss them",
    ),
    ("connection_accepted", "connections of clients taken"),
    ("client_started", "subscriptions begun"),
    ("client_ended", "subscriptions that have ended"),
    ("message_sent", "messages handed to clients"),
    (
        "lagging_told",
        "times a client was told that it read too slowly",
    ),
    ("message_lost", "messages that clients missed by that"),
    (
        "not_allowed",
        "clients whose address relay.entries.allow does not list",
    ),
    ("client_limit", "clients beyond relay.entries' limit"),
];

/// Limits and tokens of both ends.
const LIMITS: [Text; 2] = [
    (
        "connection_limit",
        "as many connections as may be; more were refused",
    ),
    (
        "bad_token",
        "clients without the token of relay.entries.token_file, or with another",
    ),
];

/// Of signing: ways, what was left to the deterministic one, and the thread that makes nonces.
const SIGNING: [Text; 32] = [
    (
        "deterministic",
        "signatures made at the trigger, as RFC 8032 has it",
    ),
    (
        "presigned",
        "transactions signed ahead that a trigger chose",
    ),
    (
        "armed",
        "signatures made at the trigger with a nonce made ahead",
    ),
    (
        "dry",
        "not armed: no nonce was waiting; the signing thread does not keep up, or the generator fails",
    ),
    (
        "no_pool",
        "not armed: no nonces are made for such a transaction",
    ),
    (
        "too_long",
        "not armed: the transaction is longer than what is verified",
    ),
    (
        "unverified",
        "not armed: verification lags, and what is not verified must not leave",
    ),
    (
        "ladder_ordered",
        "ladders of transactions to be signed ahead that were ordered, renewals included",
    ),
    (
        "ladder_renewed",
        "ladders ordered for an intent that had one: blockhash, market or what is to be signed moved on",
    ),
    (
        "ladder_cancelled",
        "intents held ready and given up: not wanted any more, or their blockhash left the chain",
    ),
    ("ladder_released", "transactions signed ahead that left"),
    (
        "ladder_reckoned",
        "purposes (an exit of a position, a signal of a coin) for which was reckoned what to sign ahead: the engine's work",
    ),
    (
        "ladder_order_full",
        "orders that found no room; they are made again",
    ),
    (
        "ladder_failed",
        "ladders that could not be made: a transaction cannot be rendered, or signing has halted",
    ),
    (
        "ladder_late",
        "ladders that came when their intent had had its turn",
    ),
    ("no_ladder", "not presigned: no ladder had come yet"),
    (
        "size",
        "not presigned: no transaction of the ladder has a size that is wanted",
    ),
    (
        "tip",
        "not presigned: no transaction of the ladder has a tip that is wanted",
    ),
    (
        "blockhash",
        "not presigned: every blockhash of the ladder is too old, or left the chain",
    ),
    ("halted", "not presigned: signing has halted"),
    (
        "terms",
        "not presigned: the transaction is not the trade that was approved",
    ),
    ("spent", "not presigned: the intent has had its release"),
    ("nonce_made", "nonces made ahead"),
    (
        "entropy_failed",
        "times the kernel gave no random bytes, and no nonce was made",
    ),
    (
        "signature_verified",
        "signatures of ours verified after they left",
    ),
    (
        "outside_verified",
        "signatures of ours seen in blocks that this process did not know, and that verify",
    ),
    (
        "outside_refused",
        "signatures said to be ours, seen in blocks, that do not verify: somebody writes our key into his bytes",
    ),
    (
        "own_dropped",
        "signatures said to be ours that nobody had time to look at",
    ),
    (
        "nonce_seen",
        "halted: a nonce came up a second time; whoever saw both signatures has the key: rotate it",
    ),
    (
        "verification_failed",
        "halted: a signature of ours does not verify; suspect the hardware",
    ),
    ("forked", "halted: a forked process may not sign"),
    (
        "signing_halted",
        "nothing is signed any more, see the reason; only a person can change that",
    ),
];

/// Each group: the beginning of its codes, and its texts.
pub(super) fn groups() -> [(&'static str, &'static [Text]); 15] {
    [
        ("received", &RECEIVED),
        ("resolve", &RESOLVED),
        ("engine", &ENGINE),
        ("market", &MARKET),
        ("truth", &TRUTH),
        ("accounts", &ACCOUNTS),
        ("untradable", &UNTRADABLE),
        ("chain", &CHAIN),
        ("votes", &VOTES),
        ("leaders", &LEADERS),
        ("bridge", &BRIDGE),
        ("shredstream", &SHREDSTREAM),
        ("relay", &RELAY),
        ("signing", &SIGNING),
        ("end", &LIMITS),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use shred_source::SourceReject;

    use super::*;
    use crate::published::Published;
    use crate::receive::Received;

    /// Names of a group, with those of both ends.
    fn known(group: &str) -> BTreeSet<&'static str> {
        let found = groups()
            .into_iter()
            .filter(|(name, _)| [group, "end"].contains(name));
        found
            .flat_map(|(_, texts)| texts.iter().map(|(name, _)| *name))
            .collect()
    }

    #[track_caller]
    fn covers(group: &str, counted: impl IntoIterator<Item = &'static str>) {
        let known = known(group);
        let missing: Vec<_> = counted
            .into_iter()
            .filter(|name| !known.contains(name))
            .collect();
        assert!(missing.is_empty(), "{group}: {missing:?} are not explained");
    }

    /// Goal: whoever adds a counter is told to say what it means.
    #[test]
    fn every_counter_is_explained() {
        let names = |counters: Vec<(&'static str, u64)>| counters.into_iter().map(|(name, _)| name);
        let published = Published::new(1);
        covers("resolve", names(published.resolved()));
        covers("engine", names(published.decided()));
        covers("market", names(published.market.events()));
        let accounts = crate::account_feed::AccountCounters::default();
        covers("accounts", names(accounts.named()));
        let (_, truth) = published.market.status();
        let pump = truth["pump"].as_object().expect("a venue");
        let known = known("truth");
        assert!(pump.len() == 4 && pump.keys().all(|name| known.contains(name.as_str())));
        covers("untradable", market::Untradable::names());
        covers("untradable", market::pools::PoolUntradable::names());
        covers("received", names(Received::Polled(Arc::default()).named()));
        covers("received", names(Received::Quic(Arc::default()).named()));
        covers("received", SourceReject::ALL.map(SourceReject::label));
        covers(
            "chain",
            shred_resolve::ForkCounters::default()
                .named()
                .map(|(name, _)| name),
        );
        covers(
            "votes",
            shred_resolve::VoteCounters::default()
                .named()
                .map(|(name, _)| name),
        );
        covers(
            "leaders",
            sidecar::RefreshCounters::default()
                .named()
                .map(|(name, _)| name),
        );
        covers(
            "bridge",
            brain_bridge::BridgeStats::default()
                .named()
                .map(|(name, _)| name),
        );
        covers(
            "shredstream",
            shredstream_client::End::ALL.map(shredstream_client::End::label),
        );
        covers(
            "relay",
            shred_relay::ServerRefusal::ALL.map(shred_relay::ServerRefusal::label),
        );
        covers("relay", crate::relay::counter_names());
        covers("signing", names(published.signing.ways().to_vec()));
        covers("signing", names(published.signing.fallbacks().to_vec()));
        covers("signing", crate::published::SIGNING_EVENTS);
        covers("signing", names(published.signing.ladders().to_vec()));
        covers("signing", names(published.signing.no_rung().to_vec()));
        covers("signing", bundle::Halted::ALL.map(bundle::Halted::name));
    }
}

//! That contestants do the same work.
#![allow(clippy::unwrap_used)]

use bench::launch::Launch;
use bench::usual::Derived;
use bundle::LookupTable;
use solana_sdk::message::VersionedMessage;
use solana_sdk::pubkey::Pubkey;
use solana_transaction::versioned::VersionedTransaction;

use crate::coin::{self, BLOCKHASH, Keys, Naming, TOKENS};
use crate::ours::Ours;
use crate::{corpus, decode};

/// Program, accounts with their rights, data.
type Resolved = (Pubkey, Vec<(Pubkey, bool, bool)>, Vec<u8>);

/// Every instruction without indices, in order. What is looked up is in `table`.
fn resolved(message: &VersionedMessage, table: Option<&LookupTable>) -> Vec<Resolved> {
    let (keys, header) = (message.static_account_keys(), message.header());
    let looked_up: Vec<(Pubkey, bool)> = message
        .address_table_lookups()
        .unwrap_or_default()
        .iter()
        .flat_map(|lookup| {
            let table = table.unwrap();
            assert_eq!(lookup.account_key, table.key.into());
            let key = move |at: &u8| Pubkey::from(table.addresses[usize::from(*at)]);
            let writable = lookup
                .writable_indexes
                .iter()
                .map(move |at| (key(at), true));
            let readonly = lookup.readonly_indexes.iter();
            writable.chain(readonly.map(move |at| (key(at), false)))
        })
        .collect();
    let signers = usize::from(header.num_required_signatures);
    let writable_signers = signers - usize::from(header.num_readonly_signed_accounts);
    let writable = keys.len() - usize::from(header.num_readonly_unsigned_accounts);
    let account = |index: u8| {
        let at = usize::from(index);
        if let Some((key, may_write)) = at.checked_sub(keys.len()).map(|at| looked_up[at]) {
            return (key, false, may_write);
        }
        let may_write = at < writable_signers || (signers..writable).contains(&at);
        (keys[at], at < signers, may_write)
    };
    let instructions = message.instructions().iter().map(|found| {
        (
            keys[usize::from(found.program_id_index)],
            found.accounts.iter().map(|index| account(*index)).collect(),
            found.data.clone(),
        )
    });
    instructions.collect()
}

fn signed(bytes: &[u8]) -> VersionedTransaction {
    let transaction: VersionedTransaction = wincode::deserialize(bytes).unwrap();
    assert_eq!(transaction.verify_with_results(), [true], "signed");
    transaction
}

/// As we have it: the buyback recipient is drawn by lot, so any of the list counts as ours, and the order is another.
#[cfg(feature = "trade-sdk")]
fn in_our_terms(mut theirs: Vec<Resolved>, recipient: Pubkey) -> Vec<Resolved> {
    use sol_trade_sdk::instruction::utils::pumpfun::global_constants::BUYBACK_FEE_RECIPIENTS;
    let buy = theirs
        .iter_mut()
        .find(|(_, accounts, _)| accounts.len() == 17);
    let drawn = &mut buy.unwrap().1[BUYBACK_RECIPIENT].0;
    assert!(BUYBACK_FEE_RECIPIENTS.contains(drawn));
    *drawn = recipient;
    theirs.sort();
    theirs
}

/// Where `buy_v3` names it.
#[cfg(feature = "trade-sdk")]
const BUYBACK_RECIPIENT: usize = 13;

/// Goal: who is measured building does the same: the same buy of the same coin, from the same wallet.
#[test]
fn ours_and_solana_sdk_build_the_same_instructions() {
    let order = coin::order();
    for naming in Naming::ALL {
        let table = naming.config().lookup_table;
        let usual = naming.usual();
        let mut ours = Ours::new(naming);
        for coin in Keys::new(77).coins(20) {
            let own = built(&mut ours, &coin);
            let derived = Derived::of(&coin, &usual.user());
            let given = usual.message_with(&coin, &derived, order.spend, TOKENS, &BLOCKHASH);
            assert_eq!(usual.message(&coin, order.spend, TOKENS, &BLOCKHASH), given);
            assert_eq!(given.serialize().len(), own.serialize().len());
            assert_eq!(
                resolved(&given, table.as_ref()),
                resolved(&own, table.as_ref())
            );
            let looks_up = |message: &VersionedMessage| {
                message
                    .address_table_lookups()
                    .is_some_and(|found| !found.is_empty())
            };
            assert!(looks_up(&own) == table.is_some() && looks_up(&given) == table.is_some());
        }
    }
}

/// Goal: the same for sol-trade-sdk, but for the one thing it cannot say in this version: the limit on loaded data.
#[cfg(feature = "trade-sdk")]
#[test]
fn ours_and_sol_trade_sdk_build_the_same_instructions() {
    let order = coin::order();
    let trade_sdk = crate::trade_sdk::TradeSdk::new(bench::ours::seed(), order);
    let mut ours = Ours::new(Naming::InFull);
    for coin in Keys::new(78).coins(20) {
        let mut own = resolved(&built(&mut ours, &coin), None);
        let whole = own.len();
        own.retain(|(_, accounts, data)| !(accounts.is_empty() && data.first() == Some(&4)));
        assert_eq!(own.len() + 1, whole);
        own.sort();
        let recipient = order.buyback_recipient.into();
        let parameters = trade_sdk.parameters(&coin);
        let theirs = signed(&trade_sdk.build(&parameters));
        assert_eq!(
            in_our_terms(resolved(&theirs.message, None), recipient),
            own
        );
        let unsigned = wincode::deserialize(&trade_sdk.message(&parameters)).unwrap();
        assert_eq!(in_our_terms(resolved(&unsigned, None), recipient), own);
    }
}

/// Our buy's message; the unsigned way has to give the very bytes that are signed.
fn built(ours: &mut Ours, coin: &Launch) -> VersionedMessage {
    let approved = ours.approve(coin);
    ours.build(&approved).unwrap();
    let own = signed(ours.cell.transaction(0).unwrap());
    let draft = ours.draft(&approved).unwrap();
    let mut rendered = vec![0; draft.layout().len];
    Ours::render(&draft, &approved, &mut rendered).unwrap();
    assert_eq!(rendered[draft.layout().message], own.message.serialize());
    ours.release(approved);
    own.message
}

/// Goal: who is measured decoding finds the same: every launch, every trade, with coin or pool, side and amounts.
#[test]
fn both_decoders_see_the_same() {
    for corpus in corpus::all() {
        let tally = decode::compare(&corpus);
        let name = corpus.name;
        assert!(
            tally.different.is_empty(),
            "{name}: {:?}",
            tally.different.first()
        );
        if name == "background" {
            assert_eq!(tally.same, 0);
            assert!(tally.none > 100);
        } else {
            assert_eq!(tally.none, 0, "{name}");
            assert!(tally.same >= 16, "{name}: {}", tally.same);
        }
    }
}

/// Goal: the comparison would notice: another amount is another trade.
#[test]
fn a_changed_amount_is_seen() {
    let pump = corpus::all()
        .into_iter()
        .find(|corpus| corpus.name == "pump_swap")
        .unwrap();
    let mut bytes = pump.transactions[0].clone();
    let before = decode::ours(&bytes);
    let market::MarketEvent::Pool(event) = before[0] else {
        panic!()
    };
    let market::PoolAction::Swap(swap) = event.call.action else {
        panic!()
    };
    let market::event::SwapAmounts::ExactOut { amount_out, .. } = swap.amounts else {
        panic!()
    };
    let needle = amount_out.to_le_bytes();
    let at = bytes
        .windows(8)
        .position(|window| window == needle)
        .unwrap();
    bytes[at] ^= 1;
    let changed = corpus::Corpus {
        name: "changed",
        transactions: vec![bytes],
    };
    assert!(
        decode::compare(&changed).different.is_empty(),
        "both see the change"
    );
    let before: Vec<_> = before.iter().filter_map(crate::seen::ours).collect();
    let after: Vec<_> = decode::theirs(&changed.transactions[0])
        .iter()
        .filter_map(crate::seen::theirs)
        .collect();
    assert_ne!(before, after);
}

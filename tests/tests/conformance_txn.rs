//! Our reading of transactions against that of the official crates, on seeded random content.
//!
//! Three questions: does every transaction that those crates write read back field by field; do both agree, on
//! damaged bytes, where a transaction ends and whether it may stand in a block; and are the bytes we call the
//! message those that were signed. A failure prints the seed that repeats it.
#![allow(clippy::unwrap_used)]

use agave_transaction_view::sanitize::SanitizeConfig;
use agave_transaction_view::transaction_view::TransactionView;
use shred_wire::txn::{
    LEGACY_AND_V0_LEN_MAX, SIGNATURE_COUNT_MAX, ScanStep, TxnReject, TxnScan, TxnVersion, TxnView,
    V1_HEAP_LEN_MAX, V1_HEAP_LEN_MIN, V1_LEN_MAX,
};
use solana_hash::Hash;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::v0::MessageAddressTableLookup;
use solana_message::{AddressLookupTableAccount, Message, MessageHeader, VersionedMessage, v0, v1};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;
use std::collections::HashSet;

/// SplitMix64: small, and the same on every host.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Inclusive.
    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    fn keys(&mut self, count: usize) -> Vec<Pubkey> {
        (0..count)
            .map(|_| Pubkey::new_from_array(self.array()))
            .collect()
    }
}

fn len_max(message: &VersionedMessage) -> usize {
    match message {
        VersionedMessage::V1(_) => V1_LEN_MAX,
        _ => LEGACY_AND_V0_LEN_MAX,
    }
}

fn wire(txn: &VersionedTransaction) -> Vec<u8> {
    wincode::serialize(txn).unwrap()
}

/// A transaction that a block may hold, of any version, usually small, sometimes as long as allowed.
fn valid(random: &mut Random) -> VersionedTransaction {
    loop {
        let mut txn = one_of_three(random);
        let len = wire(&txn).len();
        let len_max = len_max(&txn.message);
        if random.one_in(4) && len < len_max {
            grow(&mut txn, len_max - len);
        }
        if wire(&txn).len() <= len_max && txn.sanitize().is_ok() {
            return txn;
        }
    }
}

/// Adds up to `room` bytes to the data of the last instruction.
fn grow(txn: &mut VersionedTransaction, room: usize) {
    let instructions = match &mut txn.message {
        VersionedMessage::Legacy(message) => &mut message.instructions,
        VersionedMessage::V0(message) => &mut message.instructions,
        VersionedMessage::V1(message) => &mut message.instructions,
    };
    let Some(last) = instructions.last_mut() else {
        return;
    };
    let len = last.data.len();
    // The length prefix may grow by a byte.
    let prefix = usize::from(len < 128 && len + room > 127);
    last.data.resize(len + room - prefix, 0xda);
}

fn one_of_three(random: &mut Random) -> VersionedTransaction {
    let version = random.below(3);
    let signers = if random.one_in(8) {
        random.between(1, 12)
    } else {
        random.between(1, 3)
    };
    let key_count = signers
        + if random.one_in(8) {
            random.between(1, 26)
        } else {
            random.between(1, 8)
        };
    let header = MessageHeader {
        num_required_signatures: signers as u8,
        num_readonly_signed_accounts: random.below(signers) as u8,
        num_readonly_unsigned_accounts: random.between(0, key_count - signers) as u8,
    };
    let account_keys = random.keys(key_count);
    let recent_blockhash = Hash::new_from_array(random.array());
    let lookup_count = if version == 1 { random.below(4) } else { 0 };
    let address_table_lookups: Vec<_> = (0..lookup_count).map(|_| lookup(random)).collect();
    let loaded: usize = address_table_lookups
        .iter()
        .map(|it| it.writable_indexes.len() + it.readonly_indexes.len())
        .sum();
    let instruction_count = if random.one_in(10) {
        random.between(0, 64)
    } else {
        random.between(0, 6)
    };
    let instructions = (0..instruction_count)
        .map(|_| compiled(random, key_count, key_count + loaded))
        .collect();
    let message = match version {
        0 => VersionedMessage::Legacy(Message {
            header,
            account_keys,
            recent_blockhash,
            instructions,
        }),
        1 => VersionedMessage::V0(v0::Message {
            header,
            account_keys,
            recent_blockhash,
            instructions,
            address_table_lookups,
        }),
        _ => VersionedMessage::V1(v1::Message {
            header,
            config: config(random),
            lifetime_specifier: recent_blockhash,
            account_keys,
            instructions,
        }),
    };
    let signatures = (0..signers)
        .map(|_| Signature::from(random.array::<64>()))
        .collect();
    VersionedTransaction {
        signatures,
        message,
    }
}

fn compiled(random: &mut Random, key_count: usize, account_count: usize) -> CompiledInstruction {
    let accounts = if random.one_in(20) {
        random.between(0, 200)
    } else {
        random.between(0, 18)
    };
    let data = if random.one_in(10) {
        random.between(100, 700)
    } else {
        random.between(0, 40)
    };
    CompiledInstruction {
        program_id_index: random.between(1, key_count - 1) as u8,
        accounts: (0..accounts)
            .map(|_| random.below(account_count) as u8)
            .collect(),
        data: random.bytes(data),
    }
}

fn lookup(random: &mut Random) -> MessageAddressTableLookup {
    let (writable, readonly) = (random.between(0, 6), random.between(0, 6));
    MessageAddressTableLookup {
        account_key: Pubkey::new_from_array(random.array()),
        writable_indexes: random.bytes(writable),
        readonly_indexes: random.bytes(readonly),
    }
}

fn config(random: &mut Random) -> v1::TransactionConfig {
    v1::TransactionConfig {
        priority_fee: random.one_in(2).then(|| random.next()),
        compute_unit_limit: random.one_in(2).then(|| random.next() as u32),
        loaded_accounts_data_size_limit: random.one_in(2).then(|| random.next() as u32),
        heap_size: random
            .one_in(2)
            .then(|| random.between(32, 256) as u32 * 1024),
    }
}

/// Every field of the view against the official structure.
#[track_caller]
fn same(view: &TxnView<'_>, txn: &VersionedTransaction, seed: u64) {
    let message = &txn.message;
    let version = match message {
        VersionedMessage::Legacy(_) => TxnVersion::Legacy,
        VersionedMessage::V0(_) => TxnVersion::V0,
        VersionedMessage::V1(_) => TxnVersion::V1,
    };
    assert_eq!(view.version(), version, "seed {seed}");
    assert_eq!(view.bytes(), wire(txn), "seed {seed}");
    assert_eq!(view.message(), message.serialize(), "seed {seed}");
    assert_eq!(
        view.signature(),
        txn.signatures[0].as_array(),
        "seed {seed}"
    );
    assert!(
        view.signatures()
            .iter()
            .eq(txn.signatures.iter().map(Signature::as_array)),
        "seed {seed}"
    );
    let required = usize::from(message.header().num_required_signatures);
    assert_eq!(view.required_signature_count(), required, "seed {seed}");
    let keys = message.static_account_keys();
    assert!(
        view.keys().iter().eq(keys.iter().map(Pubkey::as_array)),
        "seed {seed}"
    );
    assert_eq!(
        view.blockhash(),
        message.recent_blockhash().as_bytes(),
        "seed {seed}"
    );
    for index in 0..keys.len() + 2 {
        assert_eq!(
            view.is_signer(index),
            message.is_signer(index),
            "seed {seed}"
        );
        same_writable(view, message, index, seed);
    }
    same_instructions(view, message, seed);
    same_lookups(view, message, seed);
    same_config(view, message, seed);
}

/// The official answer demotes invoked programs; ours is what the transaction asks for.
#[track_caller]
fn same_writable(view: &TxnView<'_>, message: &VersionedMessage, index: usize, seed: u64) {
    let is_static = index < message.static_account_keys().len();
    let official = is_static
        && message.is_maybe_writable_with_reserved_addresses(index, None::<&HashSet<Pubkey>>);
    if message.is_invoked(index) {
        assert!(view.is_writable_static(index) || !official, "seed {seed}");
    } else {
        assert_eq!(
            view.is_writable_static(index),
            official,
            "seed {seed} key {index}"
        );
    }
}

#[track_caller]
fn same_instructions(view: &TxnView<'_>, message: &VersionedMessage, seed: u64) {
    let official = message.instructions();
    assert_eq!(view.instructions().len(), official.len(), "seed {seed}");
    assert_eq!(view.instructions().count(), official.len(), "seed {seed}");
    for (ours, official) in view.instructions().zip(official) {
        assert_eq!(ours.program_index, official.program_id_index, "seed {seed}");
        assert_eq!(ours.accounts, official.accounts, "seed {seed}");
        assert_eq!(ours.data, official.data, "seed {seed}");
    }
}

#[track_caller]
fn same_lookups(view: &TxnView<'_>, message: &VersionedMessage, seed: u64) {
    let official = message.address_table_lookups().unwrap_or_default();
    assert_eq!(view.lookups().len(), official.len(), "seed {seed}");
    assert_eq!(view.lookups().count(), official.len(), "seed {seed}");
    for (ours, official) in view.lookups().zip(official) {
        assert_eq!(ours.table, official.account_key.as_array(), "seed {seed}");
        assert_eq!(ours.writable, official.writable_indexes, "seed {seed}");
        assert_eq!(ours.readonly, official.readonly_indexes, "seed {seed}");
    }
}

#[track_caller]
fn same_config(view: &TxnView<'_>, message: &VersionedMessage, seed: u64) {
    let VersionedMessage::V1(message) = message else {
        assert_eq!(view.config(), None, "seed {seed}");
        return;
    };
    let ours = view.config().unwrap();
    assert_eq!(
        ours.priority_fee_lamports, message.config.priority_fee,
        "seed {seed}"
    );
    assert_eq!(
        ours.compute_unit_limit, message.config.compute_unit_limit,
        "seed {seed}"
    );
    assert_eq!(
        ours.loaded_data_len_max, message.config.loaded_accounts_data_size_limit,
        "seed {seed}"
    );
    assert_eq!(ours.heap_len, message.config.heap_size, "seed {seed}");
}

/// What both sides made of some bytes.
#[derive(Default, Debug)]
struct Tally {
    accepted: usize,
    scanned: usize,
    refused: usize,
}

/// Both sides on the same bytes, in both directions:
///
/// - the scan ends where the official reader does, whenever that reads a transaction no longer than allowed and
///   with a legal number of signatures; where it refuses, no validator would have let the block stand;
/// - the view accepts what `sanitize` accepts, and nothing else but duplicate keys, which it does not look for;
/// - the view accepts what agave's own transaction view accepts.
#[track_caller]
fn compare(bytes: &[u8], seed: u64, tally: &mut Tally) {
    let official = wincode::deserialize::<VersionedTransaction>(bytes).ok();
    let official = official.map(|txn| (wire(&txn).len(), txn));
    let scanned = TxnScan::default().advance(bytes);
    let Some((len, txn)) = official.filter(|(len, txn)| *len <= len_max(&txn.message)) else {
        assert!(
            !matches!(scanned, Ok(ScanStep::Done { .. })),
            "seed {seed}: {scanned:?}"
        );
        tally.refused += 1;
        return;
    };
    if !(1..=SIGNATURE_COUNT_MAX).contains(&txn.signatures.len()) {
        assert!(
            scanned.is_err() && txn.sanitize().is_err(),
            "seed {seed}: {scanned:?}"
        );
        tally.refused += 1;
        return;
    }
    assert_eq!(scanned, Ok(ScanStep::Done { len }), "seed {seed}");
    tally.scanned += 1;
    let whole = &bytes[..len];
    let view = TxnView::parse(whole);
    assert_eq!(in_two_pieces(whole, seed).err(), view.err(), "seed {seed}");
    if txn.sanitize().is_ok() {
        assert!(view.is_ok(), "seed {seed}: {view:?}");
    } else if view.is_ok() {
        assert!(
            matches!(txn.message, VersionedMessage::V1(_)) && has_duplicates(&txn),
            "seed {seed}"
        );
    }
    if agave_accepts(whole) {
        assert!(view.is_ok(), "seed {seed}: {view:?}");
    }
    if let Ok(view) = view {
        same(&view, &txn, seed);
        tally.accepted += 1;
    }
    if len < bytes.len() {
        assert_eq!(
            TxnView::parse(bytes).unwrap_err(),
            TxnReject::TrailingBytes,
            "seed {seed}"
        );
    }
}

/// The view of a scan that was interrupted once.
fn in_two_pieces(bytes: &[u8], seed: u64) -> Result<TxnView<'_>, TxnReject> {
    let mut scan = TxnScan::default();
    scan.advance(&bytes[..Random(seed).below(bytes.len())])?;
    scan.advance(bytes)?;
    TxnView::from_scan(&scan, bytes)
}

fn has_duplicates(txn: &VersionedTransaction) -> bool {
    let keys = txn.message.static_account_keys();
    keys.iter().collect::<HashSet<_>>().len() < keys.len()
}

fn agave_accepts(bytes: &[u8]) -> bool {
    // The limits that the validator hands in.
    let config = SanitizeConfig {
        min_requested_heap_size: V1_HEAP_LEN_MIN,
        max_requested_heap_size: V1_HEAP_LEN_MAX,
        max_instructions: 64,
        max_accounts_per_instruction: Some(255),
    };
    TransactionView::try_new_sanitized(bytes, &config).is_ok()
}

#[test]
fn every_official_transaction_reads_back_field_by_field() {
    let mut counts = [0; 3];
    for seed in 0..6_000 {
        let txn = valid(&mut Random(seed));
        let bytes = wire(&txn);
        let mut scan = TxnScan::default();
        assert_eq!(
            scan.advance(&bytes),
            Ok(ScanStep::Done { len: bytes.len() }),
            "seed {seed}"
        );
        let view =
            TxnView::parse(&bytes).unwrap_or_else(|reason| panic!("seed {seed}: {reason:?}"));
        same(&view, &txn, seed);
        counts[view.version() as usize] += 1;
    }
    assert!(counts.into_iter().all(|count| count > 1_000), "{counts:?}");
}

/// Pieces of any size, a byte each included, end where the whole does.
#[test]
fn official_transactions_in_pieces() {
    for seed in 0..600 {
        let random = &mut Random(seed);
        let bytes = wire(&valid(random));
        let step_max = [1, 7, 200, 1203][random.below(4)];
        let mut scan = TxnScan::default();
        let mut end = 0;
        while end < bytes.len() {
            assert_eq!(
                scan.advance(&bytes[..end]),
                Ok(ScanStep::NeedMore),
                "seed {seed} at {end}"
            );
            end += random.between(1, step_max);
        }
        let longer = [&bytes[..], &random.bytes(80)].concat();
        assert_eq!(
            scan.advance(&longer),
            Ok(ScanStep::Done { len: bytes.len() }),
            "seed {seed}"
        );
        assert_eq!(
            TxnView::from_scan(&scan, &longer).unwrap().bytes(),
            bytes,
            "seed {seed}"
        );
    }
}

#[test]
fn both_agree_on_damaged_bytes() {
    let mut tally = Tally::default();
    for seed in 0..40_000 {
        let random = &mut Random(seed);
        let mut bytes = wire(&valid(random));
        for _ in 0..random.between(1, 3) {
            damage(&mut bytes, random);
        }
        compare(&bytes, seed, &mut tally);
    }
    // Each of the three outcomes must really have been compared.
    assert!(tally.accepted > 2_000, "{tally:?}");
    assert!(tally.scanned - tally.accepted > 1_000, "{tally:?}");
    assert!(tally.refused > 2_000, "{tally:?}");
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    // Half of the damage goes where counts and headers are.
    let near = if random.one_in(2) {
        bytes.len()
    } else {
        bytes.len().min(75)
    };
    if near == 0 {
        return;
    }
    let at = random.below(near);
    match random.below(10) {
        // A v1 transaction's config mask.
        _ if bytes.len() > 8 && bytes[0] == 0x81 && random.one_in(10) => {
            bytes[4 + random.below(8) / 5] ^= 1 << random.below(8);
        }
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.next() as u8),
        2 => drop(bytes.remove(at)),
        3 => bytes[at] = [0, 1, 0x7f, 0x80, 0x81, 0xff][random.below(6)],
        4 => bytes[at] = bytes[at].wrapping_add(1),
        5 => bytes[at] = bytes[at].wrapping_sub(1),
        6 => bytes.extend(random.bytes(3)),
        7 => bytes[at] ^= 1 << random.below(8),
        // The same list length, written longer than need be.
        8 => {
            bytes[at] |= 0x80;
            bytes.insert(at + 1, [0, 0, 4, 0x80][random.below(4)]);
        }
        _ => bytes[at] = random.next() as u8,
    }
}

/// Structures that are well formed but break a rule of `sanitize` more often than not.
#[test]
fn both_agree_on_broken_rules() {
    let mut tally = Tally::default();
    for seed in 0..20_000 {
        let random = &mut Random(seed);
        let mut txn = valid(random);
        break_rule(&mut txn, random);
        compare(&wire(&txn), seed, &mut tally);
    }
    assert!(tally.accepted > 2_000, "{tally:?}");
    assert!(tally.scanned - tally.accepted > 5_000, "{tally:?}");
}

fn break_rule(txn: &mut VersionedTransaction, random: &mut Random) {
    let is_v1 = matches!(txn.message, VersionedMessage::V1(_));
    let loaded: usize = (txn
        .message
        .address_table_lookups()
        .unwrap_or_default()
        .iter())
    .map(|lookup| lookup.writable_indexes.len() + lookup.readonly_indexes.len())
    .sum();
    let (header, keys, instructions) = match &mut txn.message {
        VersionedMessage::Legacy(m) => (&mut m.header, &mut m.account_keys, &mut m.instructions),
        VersionedMessage::V0(m) => (&mut m.header, &mut m.account_keys, &mut m.instructions),
        VersionedMessage::V1(m) => (&mut m.header, &mut m.account_keys, &mut m.instructions),
    };
    let account_count = keys.len() + loaded;
    match random.below(10) {
        0 => header.num_readonly_signed_accounts = random.between(0, 14) as u8,
        1 => header.num_readonly_unsigned_accounts = random.between(0, 40) as u8,
        // In v1 the number of signatures follows the header, so they are resized with it.
        2 => {
            header.num_required_signatures = random.between(0, 15) as u8;
            if is_v1 || random.one_in(2) {
                txn.signatures.resize(
                    usize::from(header.num_required_signatures),
                    Signature::default(),
                );
            }
        }
        3 => keys.truncate(random.between(0, keys.len())),
        4 => instructions.push(CompiledInstruction {
            program_id_index: random.between(0, keys.len() + 1) as u8,
            accounts: Vec::new(),
            data: Vec::new(),
        }),
        5 | 6 => instructions.push(CompiledInstruction {
            program_id_index: 1,
            accounts: vec![
                0,
                random.between(account_count.saturating_sub(2), account_count + 1) as u8,
            ],
            data: Vec::new(),
        }),
        7 => {
            let last = keys.len() - 1;
            keys[last] = keys[0];
        }
        8 => {
            let count = [64, 65, 66, 200][random.below(4)];
            let tiny = CompiledInstruction {
                program_id_index: 1,
                accounts: Vec::new(),
                data: Vec::new(),
            };
            instructions.resize(count, tiny);
        }
        _ => break_last_part(txn, random),
    }
}

fn break_last_part(txn: &mut VersionedTransaction, random: &mut Random) {
    match &mut txn.message {
        VersionedMessage::Legacy(message) => {
            let (room, key) = (
                random.between(0, 40),
                Pubkey::new_from_array(random.array()),
            );
            message
                .account_keys
                .resize(message.account_keys.len() + room, key);
        }
        VersionedMessage::V0(message) => {
            let writable = [0, 1, 250, 252, 254, 255][random.below(6)];
            let broken = MessageAddressTableLookup {
                account_key: Pubkey::new_from_array(random.array()),
                writable_indexes: random.bytes(writable),
                readonly_indexes: Vec::new(),
            };
            message.address_table_lookups.insert(
                random.below(message.address_table_lookups.len() + 1),
                broken,
            );
        }
        VersionedMessage::V1(message) => match random.below(2) {
            0 => {
                message.config.heap_size =
                    Some(random.between(30, 258) as u32 * 1024 + random.below(2) as u32)
            }
            _ => {
                let more = random.between(50, 70);
                message.account_keys = random.keys(more);
            }
        },
    }
}

/// One byte past the longest, at the end of every version.
#[test]
fn both_agree_at_the_longest() {
    let mut tally = Tally::default();
    for seed in 0..2_000 {
        let random = &mut Random(seed);
        let mut txn = valid(random);
        let (len, len_max) = (wire(&txn).len(), len_max(&txn.message));
        grow(&mut txn, len_max - len + random.below(3));
        compare(&wire(&txn), seed, &mut tally);
    }
    assert!(tally.accepted > 300 && tally.refused > 300, "{tally:?}");
}

/// What we call the message is what the official crates sign, and every signature is where its key is.
#[test]
fn signatures_of_compiled_transactions_verify_over_our_message() {
    for seed in 0..120 {
        let random = &mut Random(seed);
        let signers: Vec<Keypair> = (0..random.between(1, 3))
            .map(|_| Keypair::new_from_array(random.array()))
            .collect();
        let message = compiled_message(random, &signers);
        let txn =
            VersionedTransaction::try_new(message, &signers.iter().collect::<Vec<_>>()).unwrap();
        let bytes = wire(&txn);
        let view = TxnView::parse(&bytes).unwrap();
        same(&view, &txn, seed);
        for (signature, key) in view.signatures().iter().zip(view.keys()) {
            assert!(
                Signature::from(*signature).verify(key, view.message()),
                "seed {seed}"
            );
        }
    }
}

/// A message as wallets make it: by the official compilers, from instructions.
fn compiled_message(random: &mut Random, signers: &[Keypair]) -> VersionedMessage {
    let payer = signers[0].pubkey();
    let table = AddressLookupTableAccount {
        key: random.keys(1)[0],
        addresses: random.keys(5),
    };
    let shared = random.keys(4);
    let instructions: Vec<Instruction> = (0..random.between(1, 4))
        .map(|_| {
            let mut accounts: Vec<_> = signers
                .iter()
                .map(|signer| AccountMeta::new_readonly(signer.pubkey(), true))
                .collect();
            accounts.push(AccountMeta::new(shared[random.below(4)], false));
            accounts.push(AccountMeta::new_readonly(
                table.addresses[random.below(5)],
                false,
            ));
            accounts.push(AccountMeta::new(table.addresses[random.below(5)], false));
            let data = random.between(0, 30);
            Instruction {
                program_id: random.keys(1)[0],
                accounts,
                data: random.bytes(data),
            }
        })
        .collect();
    let blockhash = Hash::new_from_array(random.array());
    match random.below(3) {
        0 => VersionedMessage::Legacy(Message::new_with_blockhash(
            &instructions,
            Some(&payer),
            &blockhash,
        )),
        1 => VersionedMessage::V0(
            v0::Message::try_compile(&payer, &instructions, &[table], blockhash).unwrap(),
        ),
        _ => VersionedMessage::V1(
            v1::Message::try_compile(&payer, &instructions, blockhash).unwrap(),
        ),
    }
}

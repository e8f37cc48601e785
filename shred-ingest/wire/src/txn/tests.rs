//! The scan and the view against a builder that shares nothing with them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
extern crate std;
use super::*;
use proptest::{collection::vec, num::u8::ANY, option, prelude::*};
use std::vec::Vec;

/// A transaction as a list of fields. `Draft::bytes` writes it down the slow, plain way.
#[derive(Clone, Debug)]
struct Draft {
    version: TxnVersion,
    signatures: Vec<[u8; 64]>,
    header: [u8; 3],
    keys: Vec<[u8; 32]>,
    blockhash: [u8; 32],
    config: TxnConfig,
    instructions: Vec<Instruction>,
    lookups: Vec<Lookup>,
}

#[derive(Clone, Debug)]
struct Instruction {
    program: u8,
    accounts: Vec<u8>,
    data: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Lookup {
    table: [u8; 32],
    writable: Vec<u8>,
    readonly: Vec<u8>,
}

impl Draft {
    /// One signer, a second key as program, one instruction without accounts or data.
    fn small(version: TxnVersion) -> Self {
        Self {
            version,
            signatures: [[1; 64]].to_vec(),
            header: [1, 0, 1],
            keys: [[2; 32], [3; 32]].to_vec(),
            blockhash: [4; 32],
            config: TxnConfig::default(),
            instructions: [instruction(1, &[], 0)].to_vec(),
            lookups: Vec::new(),
        }
    }

    fn with_signers(version: TxnVersion, count: u8) -> Self {
        let mut draft = Self::small(version);
        draft.signatures = (0..count).map(|n| [n; 64]).collect();
        draft.keys = (0..=count).map(|n| [n; 32]).collect();
        draft.header = [count, 0, 1];
        draft
    }

    fn with_data_len(mut self, len: usize) -> Self {
        self.instructions[0].data = std::vec![9; len];
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let (message, signatures) = (self.message(), self.signatures.concat());
        match self.version {
            TxnVersion::V1 => [message, signatures].concat(),
            _ => [compact(self.signatures.len()), signatures, message].concat(),
        }
    }

    fn message(&self) -> Vec<u8> {
        match self.version {
            TxnVersion::V1 => self.v1_message(),
            _ => self.old_message().0,
        }
    }

    /// The message, and where in it each instruction and each lookup begins.
    fn old_message(&self) -> (Vec<u8>, Vec<usize>) {
        let mut out = Vec::new();
        let mut items = Vec::new();
        if self.version == TxnVersion::V0 {
            out.push(0x80);
        }
        out.extend(self.header);
        out.extend(compact(self.keys.len()));
        out.extend(self.keys.concat());
        out.extend(self.blockhash);
        items.push(out.len());
        out.extend(compact(self.instructions.len()));
        for Instruction {
            program,
            accounts,
            data,
        } in &self.instructions
        {
            items.push(out.len());
            out.push(*program);
            out.extend([compact(accounts.len()), accounts.clone()].concat());
            out.extend([compact(data.len()), data.clone()].concat());
        }
        items.push(out.len());
        if self.version == TxnVersion::V0 {
            out.extend(compact(self.lookups.len()));
            for Lookup {
                table,
                writable,
                readonly,
            } in &self.lookups
            {
                items.push(out.len());
                out.extend(table);
                out.extend([compact(writable.len()), writable.clone()].concat());
                out.extend([compact(readonly.len()), readonly.clone()].concat());
            }
        }
        (out, items)
    }

    fn v1_message(&self) -> Vec<u8> {
        let TxnConfig {
            priority_fee_lamports,
            compute_unit_limit,
            loaded_data_len_max,
            heap_len,
        } = self.config;
        let words = [compute_unit_limit, loaded_data_len_max, heap_len];
        let mut mask = if priority_fee_lamports.is_some() {
            3
        } else {
            0
        };
        let mut values = priority_fee_lamports.map_or(Vec::new(), |fee| fee.to_le_bytes().to_vec());
        for (bit, word) in words.into_iter().enumerate() {
            if let Some(word) = word {
                mask |= 4 << bit;
                values.extend(u32::to_le_bytes(word));
            }
        }
        let mut out = [0x81].to_vec();
        out.extend(self.header);
        out.extend(u32::to_le_bytes(mask));
        out.extend(self.blockhash);
        out.push(u8::try_from(self.instructions.len()).unwrap());
        out.push(u8::try_from(self.keys.len()).unwrap());
        out.extend(self.keys.concat());
        out.extend(values);
        for Instruction {
            program,
            accounts,
            data,
        } in &self.instructions
        {
            out.extend([*program, u8::try_from(accounts.len()).unwrap()]);
            out.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
        }
        for Instruction { accounts, data, .. } in &self.instructions {
            out.extend([&accounts[..], data].concat());
        }
        out
    }

    fn is_writable(&self, index: usize) -> bool {
        let [required, readonly_signed, readonly_unsigned] = self.header.map(usize::from);
        let writable_signed = 0..required - readonly_signed;
        let writable_unsigned = required..self.keys.len() - readonly_unsigned;
        writable_signed.contains(&index) || writable_unsigned.contains(&index)
    }
}

fn instruction(program: u8, accounts: &[u8], data_len: usize) -> Instruction {
    Instruction {
        program,
        accounts: accounts.to_vec(),
        data: std::vec![9; data_len],
    }
}

fn lookup(writable: usize, readonly: usize) -> Lookup {
    Lookup {
        table: [5; 32],
        writable: std::vec![0; writable],
        readonly: std::vec![1; readonly],
    }
}

/// Compact-u16, from its definition.
fn compact(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn versions() -> impl Strategy<Value = TxnVersion> {
    prop_oneof![
        Just(TxnVersion::Legacy),
        Just(TxnVersion::V0),
        Just(TxnVersion::V1)
    ]
}

fn configs() -> impl Strategy<Value = TxnConfig> {
    let word = || option::of(any::<u32>());
    (
        option::of(any::<u64>()),
        word(),
        word(),
        option::of(32u32..=256),
    )
        .prop_map(
            |(priority_fee_lamports, compute_unit_limit, loaded_data_len_max, heap)| TxnConfig {
                priority_fee_lamports,
                compute_unit_limit,
                loaded_data_len_max,
                heap_len: heap.map(|kib| kib * 1024),
            },
        )
}

/// Bytes, often those at which a length changes its form.
fn edges() -> impl Strategy<Value = u8> {
    prop_oneof![
        Just(0u8),
        Just(0x7f),
        Just(0x80),
        Just(0x81),
        Just(0xff),
        ANY
    ]
}

/// Valid transactions of every version; the longest pass 300 bytes of accounts and data, so that list lengths
/// of two bytes occur.
fn drafts() -> impl Strategy<Value = Draft> {
    let counts = (versions(), 1usize..=6, 1usize..=10, 0usize..=5, 0usize..=3);
    counts
        .prop_flat_map(|(version, signers, others, instructions, lookups)| {
            let lookup_count = if version == TxnVersion::V0 {
                lookups
            } else {
                0
            };
            let lookup = (any::<[u8; 32]>(), vec(ANY, 1..6), vec(ANY, 0..6)).prop_map(
                |(table, writable, readonly)| Lookup {
                    table,
                    writable,
                    readonly,
                },
            );
            let key_count = signers + others;
            let fields = (
                vec(
                    vec(ANY, 64).prop_map(|bytes| bytes.try_into().unwrap()),
                    signers,
                ),
                (0..signers as u8, 0..=others as u8),
                vec(any::<[u8; 32]>(), key_count),
                any::<[u8; 32]>(),
                configs(),
                vec(lookup, lookup_count),
            );
            (fields, Just((version, key_count, instructions))).prop_flat_map(
                |(
                    (signatures, (signed, unsigned), keys, blockhash, config, lookups),
                    (version, key_count, count),
                )| {
                    let loaded: usize = lookups
                        .iter()
                        .map(|l| l.writable.len() + l.readonly.len())
                        .sum();
                    let account = 0..(key_count + loaded) as u8;
                    let one = (
                        1..key_count as u8,
                        vec(account, 0..24),
                        prop_oneof![vec(ANY, 0..20), vec(ANY, 120..140)],
                    )
                        .prop_map(|(program, accounts, data)| Instruction {
                            program,
                            accounts,
                            data,
                        });
                    vec(one, count).prop_map(move |instructions| Draft {
                        version,
                        header: [signatures.len() as u8, signed, unsigned],
                        signatures: signatures.clone(),
                        keys: keys.clone(),
                        blockhash,
                        config: if version == TxnVersion::V1 {
                            config
                        } else {
                            TxnConfig::default()
                        },
                        instructions,
                        lookups: lookups.clone(),
                    })
                },
            )
        })
        .prop_filter("fits", |draft| {
            draft.version == TxnVersion::V1 || draft.bytes().len() <= LEGACY_AND_V0_LEN_MAX
        })
}

fn scan_whole(bytes: &[u8]) -> Result<ScanStep, TxnReject> {
    TxnScan::default().advance(bytes)
}

/// What a view makes of a scan that was shown one byte more each time.
fn view_by_bytes(bytes: &[u8]) -> Result<TxnView<'_>, TxnReject> {
    let mut scan = TxnScan::default();
    for end in 0..=bytes.len() {
        scan.advance(&bytes[..end])?;
    }
    TxnView::from_scan(&scan, bytes)
}

/// Shows `bytes` one more at a time; the answer, and how many bytes it took.
fn scan_by_bytes(bytes: &[u8]) -> (Result<ScanStep, TxnReject>, usize) {
    let mut scan = TxnScan::default();
    for end in 0..bytes.len() {
        match scan.advance(&bytes[..end]) {
            Ok(ScanStep::NeedMore) => {}
            answer => return (answer, end),
        }
    }
    (scan.advance(bytes), bytes.len())
}

#[track_caller]
fn accepts(draft: &Draft) {
    let bytes = draft.bytes();
    assert_eq!(scan_whole(&bytes), Ok(ScanStep::Done { len: bytes.len() }));
    TxnView::parse(&bytes).unwrap();
    view_by_bytes(&bytes).unwrap();
}

/// The scan finds the end, so the batch goes on; only the view refuses.
#[track_caller]
fn view_refuses(draft: &Draft, reason: TxnReject) {
    let bytes = draft.bytes();
    assert_eq!(scan_whole(&bytes), Ok(ScanStep::Done { len: bytes.len() }));
    assert_eq!(TxnView::parse(&bytes).unwrap_err(), reason);
    assert_eq!(view_by_bytes(&bytes).unwrap_err(), reason);
}

#[track_caller]
fn scan_refuses(bytes: &[u8], reason: TxnReject) {
    assert_eq!(scan_whole(bytes), Err(reason));
    assert_eq!(scan_by_bytes(bytes).0, Err(reason));
    assert_eq!(TxnView::parse(bytes).unwrap_err(), reason);
}

const OLD: [TxnVersion; 2] = [TxnVersion::Legacy, TxnVersion::V0];
const EVERY: [TxnVersion; 3] = [TxnVersion::Legacy, TxnVersion::V0, TxnVersion::V1];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Goal: every accessor tells what the builder was told.
    #[test]
    fn a_view_gives_back_every_field(draft in drafts()) {
        let bytes = draft.bytes();
        let message = draft.message();
        let view = TxnView::parse(&bytes).unwrap();
        prop_assert_eq!(view.bytes(), &bytes);
        prop_assert_eq!(view.message(), &message);
        prop_assert_eq!(view.version(), draft.version);
        prop_assert_eq!(view.signature(), &draft.signatures[0]);
        prop_assert_eq!(view.signatures(), &draft.signatures);
        prop_assert_eq!(view.required_signature_count(), draft.signatures.len());
        prop_assert_eq!(view.keys(), &draft.keys);
        prop_assert_eq!(view.blockhash(), &draft.blockhash);
        prop_assert_eq!(view.config(), (draft.version == TxnVersion::V1).then_some(draft.config));
        for index in 0..draft.keys.len() + 3 {
            prop_assert_eq!(view.is_signer(index), index < draft.signatures.len());
            prop_assert_eq!(view.is_writable_static(index), draft.is_writable(index));
        }
        prop_assert_eq!(view.instructions().len(), draft.instructions.len());
        for (found, wanted) in view.instructions().zip(&draft.instructions) {
            let Instruction { program, accounts, data } = wanted;
            prop_assert_eq!(found, InstructionView { program_index: *program, accounts, data });
        }
        prop_assert_eq!(view.lookups().len(), draft.lookups.len());
        for (found, wanted) in view.lookups().zip(&draft.lookups) {
            let Lookup { table, writable, readonly } = wanted;
            prop_assert_eq!(found, LookupView { table, writable, readonly });
        }
        prop_assert_eq!(view.instructions().count(), draft.instructions.len());
        prop_assert_eq!(view.lookups().count(), draft.lookups.len());
    }

    /// Goal: pieces do not matter. Method: every single cut, one byte at a time, and other bytes behind.
    #[test]
    fn every_cut_resumes_to_the_same_end(draft in drafts(), trailing in vec(ANY, 0..40)) {
        let bytes = draft.bytes();
        let done = Ok(ScanStep::Done { len: bytes.len() });
        for cut in 0..bytes.len() {
            let mut scan = TxnScan::default();
            prop_assert_eq!(scan.advance(&bytes[..cut]), Ok(ScanStep::NeedMore), "cut at {}", cut);
            prop_assert_eq!(scan.advance(&bytes), done, "cut at {}", cut);
            prop_assert_eq!(scan.advance(&bytes), done, "asked again");
            prop_assert_eq!(TxnView::parse(&bytes[..cut]).unwrap_err(), TxnReject::Truncated);
        }
        prop_assert_eq!(scan_by_bytes(&bytes), (done, bytes.len()));

        let longer = [&bytes[..], &trailing].concat();
        let mut scan = TxnScan::default();
        prop_assert_eq!(scan.advance(&longer), done);
        prop_assert_eq!(TxnView::from_scan(&scan, &longer).unwrap().bytes(), &bytes);
        if !trailing.is_empty() {
            prop_assert_eq!(TxnView::parse(&longer).unwrap_err(), TxnReject::TrailingBytes);
        }
    }

    /// Goal: the scan never walks anything twice, so its cost is linear whatever the pieces.
    /// Method: one byte at a time, and all that lies before the item being read is replaced by noise, which a scan
    /// that looked back would trip over.
    #[test]
    fn what_lies_behind_is_never_looked_at_again(draft in drafts()) {
        prop_assume!(draft.version != TxnVersion::V1);
        let bytes = draft.bytes();
        let message_at = 1 + 64 * draft.signatures.len();
        let items: Vec<usize> = draft.old_message().1.iter().map(|at| message_at + at).collect();
        let mut scan = TxnScan::default();
        for end in 0..bytes.len() {
            let behind = items.iter().rev().find(|&&at| at < end).copied().unwrap_or(0);
            let mut shown = bytes[..end].to_vec();
            shown[..behind].fill(0xff);
            prop_assert_eq!(scan.advance(&shown), Ok(ScanStep::NeedMore));
        }
        prop_assert_eq!(scan.advance(&bytes), Ok(ScanStep::Done { len: bytes.len() }));
        prop_assert!(TxnView::from_scan(&scan, &bytes).is_ok());
    }

    /// The same for v1, whose instruction headers and bodies are each walked once.
    #[test]
    fn v1_is_walked_once(draft in drafts()) {
        prop_assume!(draft.version == TxnVersion::V1);
        let bytes = draft.bytes();
        let body: usize = draft.instructions.iter().map(|i| i.accounts.len() + i.data.len()).sum();
        let heads_at = draft.message().len() - body - 4 * draft.instructions.len();
        let mut scan = TxnScan::default();
        for end in 0..bytes.len() {
            let mut shown = bytes[..end].to_vec();
            let behind = if end <= V1_HEAD_END { 0 } else { end.min(heads_at) };
            shown[..behind].fill(0xff);
            prop_assert_eq!(scan.advance(&shown), Ok(ScanStep::NeedMore));
        }
        prop_assert_eq!(scan.advance(&bytes), Ok(ScanStep::Done { len: bytes.len() }));
    }

    /// Goal: how the bytes arrive leaves no trace. What is all there is read by a shorter way than what is cut short, so
    /// both must come to the same answer at every length, and in the end to the same layout or flaw.
    /// Method: whole, damaged and random transactions with other bytes behind, one byte more at a time beside a fresh
    /// scan of as many.
    #[test]
    fn at_once_is_the_same_as_byte_by_byte(draft in drafts(), edits in vec((any::<prop::sample::Index>(), edges()), 0..4),
                                           noise in option::weighted(0.1, vec(ANY, 0..1500)), behind in vec(ANY, 0..40),
                                           cut in option::of(any::<prop::sample::Index>())) {
        let mut bytes = draft.bytes();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(noise) = noise {
            bytes.truncate(1);
            bytes.extend(noise);
        }
        bytes.extend(behind);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let mut by_bytes = TxnScan::default();
        for end in 0..=bytes.len() {
            let mut at_once = TxnScan::default();
            let answer = at_once.advance(&bytes[..end]);
            prop_assert_eq!(by_bytes.advance(&bytes[..end]), answer, "at {} bytes", end);
            if answer.is_err() {
                break;
            }
            prop_assert_eq!(by_bytes.found(), at_once.found(), "at {} bytes", end);
        }
    }

    #[test]
    fn random_bytes_never_panic(first in prop_oneof![Just(1u8), Just(2), Just(0x80), Just(0x81), ANY],
                                tail in vec(ANY, 0..1500)) {
        let bytes = [&[first][..], &tail].concat();
        let (by_bytes, _) = scan_by_bytes(&bytes);
        prop_assert_eq!(by_bytes, scan_whole(&bytes));
        if let Ok(view) = TxnView::parse(&bytes) {
            prop_assert_eq!(view.instructions().count(), view.instructions().len());
        }
    }

    /// Goal: no panic and no dependence on pieces, near valid input too; what a view accepts is in range.
    #[test]
    fn mutated_transactions_never_panic(draft in drafts(), edits in vec((any::<prop::sample::Index>(), ANY), 1..4),
                                        cut in option::of(any::<prop::sample::Index>())) {
        let original = draft.bytes();
        let mut bytes = original.clone();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        prop_assert_eq!(scan_by_bytes(&bytes).0, scan_whole(&bytes));
        if let Ok(view) = TxnView::parse(&bytes) {
            let loaded: usize = view.lookups().map(|l| l.writable.len() + l.readonly.len()).sum();
            prop_assert_eq!(view.instructions().count(), view.instructions().len());
            prop_assert_eq!(view.lookups().count(), view.lookups().len());
            for instruction in view.instructions() {
                prop_assert!((1..view.keys().len()).contains(&usize::from(instruction.program_index)));
                for account in instruction.accounts {
                    prop_assert!(usize::from(*account) < view.keys().len() + loaded);
                }
            }
        }
        // A scan of other bytes: nonsense may come out, a panic may not.
        let mut scan = TxnScan::default();
        let _ = scan.advance(&original);
        if let Ok(view) = TxnView::from_scan(&scan, &bytes) {
            let _ = (view.instructions().count(), view.lookups().count(), view.config());
        }
        let mut scan = TxnScan::default();
        let _ = scan.advance(&original[..original.len() / 2]);
        let _ = scan.advance(&bytes);
        let _ = TxnView::from_scan(&scan, &bytes);
    }
}

/// Bytes of a v1 transaction before its keys.
const V1_HEAD_END: usize = 42;

#[test]
fn the_shortest_transaction_is_accepted() {
    let mut draft = Draft::small(TxnVersion::Legacy);
    draft.keys.truncate(1);
    draft.header = [1, 0, 0];
    draft.instructions.clear();
    assert_eq!(draft.bytes().len(), TXN_LEN_MIN);
    accepts(&draft);
}

#[test]
fn old_versions_end_at_1232_bytes() {
    for version in OLD {
        let room =
            LEGACY_AND_V0_LEN_MAX - Draft::small(version).with_data_len(200).bytes().len() + 200;
        let longest = Draft::small(version).with_data_len(room);
        assert_eq!(longest.bytes().len(), 1232);
        accepts(&longest);
        let over = Draft::small(version).with_data_len(room + 1).bytes();
        assert_eq!(over.len(), 1233);
        scan_refuses(&over, TxnReject::TooLong);
        assert_ne!(
            scan_by_bytes(&over).1,
            over.len(),
            "refused before the whole is there"
        );
    }
}

#[test]
fn v1_ends_at_4096_bytes() {
    let room = V1_LEN_MAX - Draft::small(TxnVersion::V1).bytes().len();
    let longest = Draft::small(TxnVersion::V1).with_data_len(room);
    assert_eq!(longest.bytes().len(), 4096);
    accepts(&longest);
    let over = Draft::small(TxnVersion::V1).with_data_len(room + 1).bytes();
    assert_eq!(over.len(), 4097);
    scan_refuses(&over, TxnReject::TooLong);
}

/// A list length that cannot fit is refused with its last byte, not after waiting for what it announces.
#[test]
fn announced_lengths_are_refused_at_once() {
    let head = |version| {
        let mut draft = Draft::small(version);
        draft.keys.clear();
        draft.instructions.clear();
        draft.bytes()
    };
    for version in OLD {
        let bytes = head(version);
        let keys_at = 65 + 3 + usize::from(version == TxnVersion::V0);
        let keys = [&bytes[..keys_at], &[0xff, 0xff, 3]].concat();
        assert_eq!(scan_by_bytes(&keys), (Err(TxnReject::TooLong), keys.len()));
        let instructions = [&bytes[..keys_at + 33], &[0xff, 0xff, 3]].concat();
        assert_eq!(
            scan_by_bytes(&instructions),
            (Err(TxnReject::TooLong), instructions.len())
        );
        let accounts = [&bytes[..keys_at + 33], &[1, 1, 0xff, 0xff, 3]].concat();
        assert_eq!(
            scan_by_bytes(&accounts),
            (Err(TxnReject::TooLong), accounts.len())
        );
        let data = [&bytes[..keys_at + 33], &[1, 1, 0, 0xff, 0xff, 3]].concat();
        assert_eq!(scan_by_bytes(&data), (Err(TxnReject::TooLong), data.len()));
    }
    let bytes = head(TxnVersion::V0);
    let lookups = [&bytes[..bytes.len() - 1], &[0xff, 0x7f]].concat();
    assert_eq!(
        scan_by_bytes(&lookups),
        (Err(TxnReject::TooLong), lookups.len())
    );
    let lists = [&bytes[..bytes.len() - 1], &[1], &[5; 32], &[0xff, 0x7f]].concat();
    assert_eq!(
        scan_by_bytes(&lists),
        (Err(TxnReject::TooLong), lists.len())
    );
}

#[test]
fn signatures_are_one_to_twelve() {
    for version in EVERY {
        let most = Draft::with_signers(version, if version == TxnVersion::V1 { 12 } else { 11 });
        accepts(&most);
        let mut none = Draft::small(version);
        none.signatures.clear();
        none.header[0] = 0;
        scan_refuses(&none.bytes(), TxnReject::NoSignature);
        scan_refuses(
            &Draft::with_signers(version, 13).bytes(),
            TxnReject::TooManySignatures,
        );
    }
    // Twelve fit a packet only when nobody else is named.
    let mut twelve = Draft::with_signers(TxnVersion::Legacy, 12);
    twelve.keys.truncate(12);
    twelve.header = [12, 0, 0];
    accepts(&twelve);
}

#[test]
fn unknown_versions_are_refused() {
    for first in 0x80..=0xff {
        if first != V1_PREFIX {
            scan_refuses(&[first], TxnReject::UnknownVersion);
        }
    }
    let mut bytes = Draft::small(TxnVersion::V0).bytes();
    for prefix in 0x81..=0xff {
        bytes[65] = prefix;
        scan_refuses(&bytes, TxnReject::UnknownVersion);
    }
}

#[test]
fn list_lengths_must_be_canonical() {
    for version in OLD {
        let bytes = Draft::small(version).bytes();
        let keys_at = 65 + 3 + usize::from(version == TxnVersion::V0);
        let alias = [&bytes[..keys_at], &[0x82, 0], &bytes[keys_at + 1..]].concat();
        scan_refuses(&alias, TxnReject::BadLength);
        let instructions_at = keys_at + 1 + 64 + 32;
        let alias = [
            &bytes[..instructions_at],
            &[0x81, 0],
            &bytes[instructions_at + 1..],
        ]
        .concat();
        scan_refuses(&alias, TxnReject::BadLength);
    }
}

/// Every mask of the five known bits and the next one.
#[test]
fn v1_config_masks() {
    for mask in 0u32..64 {
        let config = TxnConfig {
            priority_fee_lamports: (mask & 3 == 3).then_some(0x0102_0304_0506_0708),
            compute_unit_limit: (mask & 4 != 0).then_some(11),
            loaded_data_len_max: (mask & 8 != 0).then_some(12),
            heap_len: (mask & 16 != 0).then_some(V1_HEAP_LEN_MIN),
        };
        let draft = Draft {
            config,
            ..Draft::small(TxnVersion::V1)
        };
        let mut bytes = draft.bytes();
        bytes[4..8].copy_from_slice(&mask.to_le_bytes());
        match mask {
            32.. => scan_refuses(&bytes, TxnReject::UnknownConfig),
            _ if mask & 3 == 1 || mask & 3 == 2 => scan_refuses(&bytes, TxnReject::HalfPriorityFee),
            _ => assert_eq!(TxnView::parse(&bytes).unwrap().config(), Some(config)),
        }
    }
    let mut bytes = Draft::small(TxnVersion::V1).bytes();
    bytes[7] = 0x80;
    scan_refuses(&bytes, TxnReject::UnknownConfig);
}

#[test]
fn v1_heap_bounds() {
    let heap = |len| {
        let config = TxnConfig {
            heap_len: Some(len),
            ..TxnConfig::default()
        };
        Draft {
            config,
            ..Draft::small(TxnVersion::V1)
        }
    };
    accepts(&heap(32 * 1024));
    accepts(&heap(256 * 1024));
    for len in [0, 31 * 1024, 32 * 1024 + 1, 257 * 1024, u32::MAX] {
        view_refuses(&heap(len), TxnReject::BadHeapLen);
    }
}

#[test]
fn v1_takes_64_keys_and_64_instructions() {
    let keys = |count: u8| {
        let keys = (0..count).map(|n| [n; 32]).collect();
        Draft {
            keys,
            instructions: [instruction(1, &[count - 1], 0)].to_vec(),
            ..Draft::small(TxnVersion::V1)
        }
    };
    accepts(&keys(64));
    view_refuses(&keys(65), TxnReject::TooManyKeys);
    let instructions = |count| Draft {
        instructions: std::vec![instruction(1, &[0, 1], 2); count],
        ..Draft::small(TxnVersion::V1)
    };
    accepts(&instructions(64));
    view_refuses(&instructions(65), TxnReject::TooManyInstructions);
}

/// More than 64 instructions in an old version is for the runtime to judge, not for `sanitize`.
#[test]
fn old_versions_take_what_fits() {
    for version in OLD {
        accepts(&Draft {
            instructions: std::vec![instruction(1, &[], 0); 300],
            ..Draft::small(version)
        });
    }
}

#[test]
fn v0_takes_256_accounts() {
    let loaded = |writable, readonly| {
        let accounts = [u8::try_from(1 + writable + readonly).unwrap_or(u8::MAX)];
        Draft {
            lookups: [lookup(writable, readonly)].to_vec(),
            instructions: [instruction(1, &accounts, 0)].to_vec(),
            ..Draft::small(TxnVersion::V0)
        }
    };
    accepts(&loaded(1, 0));
    accepts(&loaded(200, 54));
    view_refuses(&loaded(200, 55), TxnReject::TooManyKeys);
}

#[test]
fn header_must_agree_with_the_keys() {
    for version in EVERY {
        let header = |header| Draft {
            header,
            ..Draft::with_signers(version, 2)
        };
        accepts(&header([2, 1, 1]));
        view_refuses(&header([2, 2, 1]), TxnReject::PayerReadonly);
        view_refuses(&header([2, 0, 2]), TxnReject::TooFewKeys);
        view_refuses(&header([2, 0, 255]), TxnReject::TooFewKeys);
        let few = Draft {
            keys: [[0; 32]].to_vec(),
            header: [2, 0, 0],
            ..header([2, 0, 0])
        };
        view_refuses(&few, TxnReject::TooFewKeys);
        let none = Draft {
            keys: Vec::new(),
            ..header([2, 0, 0])
        };
        view_refuses(&none, TxnReject::TooFewKeys);
    }
    for version in OLD {
        for required in [0, 1, 3, 12] {
            let header = Draft {
                header: [required, 0, 0],
                ..Draft::with_signers(version, 2)
            };
            view_refuses(&header, TxnReject::SignatureCountMismatch);
        }
    }
}

#[test]
fn indices_must_be_in_range() {
    for version in EVERY {
        let one = |it| {
            let instructions = [instruction(1, &[0], 0), it, instruction(1, &[0], 0)].to_vec();
            Draft {
                instructions,
                ..Draft::small(version)
            }
        };
        accepts(&one(instruction(1, &[0, 1, 1, 0], 3)));
        view_refuses(&one(instruction(0, &[], 0)), TxnReject::PayerIsProgram);
        view_refuses(&one(instruction(2, &[], 0)), TxnReject::ProgramOutOfRange);
        view_refuses(
            &one(instruction(1, &[0, 2, 1], 0)),
            TxnReject::AccountOutOfRange,
        );
        view_refuses(
            &one(instruction(1, &[255; 40], 0)),
            TxnReject::AccountOutOfRange,
        );
    }
    let looked_up = |it| Draft {
        lookups: [lookup(1, 0), lookup(0, 1)].to_vec(),
        instructions: [it].to_vec(),
        ..Draft::small(TxnVersion::V0)
    };
    accepts(&looked_up(instruction(1, &[3, 2], 0)));
    view_refuses(
        &looked_up(instruction(1, &[4], 0)),
        TxnReject::AccountOutOfRange,
    );
    view_refuses(
        &looked_up(instruction(2, &[], 0)),
        TxnReject::ProgramOutOfRange,
    );
}

#[test]
fn a_lookup_must_load_something() {
    let lookups = [lookup(1, 1), lookup(0, 0), lookup(0, 1)].to_vec();
    view_refuses(
        &Draft {
            lookups,
            ..Draft::small(TxnVersion::V0)
        },
        TxnReject::EmptyLookup,
    );
}

#[test]
fn discriminants_index_the_list_of_reasons() {
    for (index, reason) in TxnReject::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index, "{}", reason.name());
    }
}

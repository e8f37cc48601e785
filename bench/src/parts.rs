//! The best of the registry's parts: `agave-transaction-view` reads, a patched template is signed by `aws-lc-rs`.
//!
//! The view takes exactly one transaction and does not say how long it is; its length comes from our own scan,
//! which is a gift to this rival.

use agave_transaction_view::transaction_view::UnsanitizedTransactionView;
use aws_lc_rs::signature::Ed25519KeyPair;
use bundle::address::PUMP_PROGRAM;
use market::pump::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use shred_wire::txn::{ScanStep, TxnScan};
use solana_sdk::pubkey::Pubkey;

use crate::launch::{self, Launch, Order};
use crate::usual::{Derived, SdkBuilder};

/// A transaction as the registry's view has it.
pub type View<'a> = UnsanitizedTransactionView<&'a [u8]>;

const ENTRY_HEAD_LEN: usize = 48;

/// Calls `transaction` for each of a batch, as far as it can be read.
pub fn walk(batch: &[u8], mut transaction: impl FnMut(&View<'_>)) {
    walk_checked(batch, &mut transaction);
}

fn walk_checked(batch: &[u8], transaction: &mut impl FnMut(&View<'_>)) -> Option<()> {
    let mut rest = batch.get(8..)?;
    for _ in 0..u64::from_le_bytes(*batch.first_chunk()?) {
        let head = rest.first_chunk::<ENTRY_HEAD_LEN>()?;
        let count = u64::from_le_bytes(*head[40..].first_chunk()?);
        rest = &rest[ENTRY_HEAD_LEN..];
        for _ in 0..count {
            let Ok(ScanStep::Done { len }) = TxnScan::default().advance(rest) else {
                return None;
            };
            let (bytes, after) = rest.split_at_checked(len)?;
            transaction(&View::try_new_unsanitized(bytes).ok()?);
            rest = after;
        }
    }
    Some(())
}

/// The launch in a transaction, if it is one.
#[must_use]
pub fn launch(view: &View<'_>) -> Option<Launch> {
    let keys = view.static_account_keys();
    let program = keys
        .iter()
        .position(|key| key.as_array() == &PUMP_PROGRAM)?;
    Launch::find(
        |index| Some(keys.get(usize::from(index))?.to_bytes()),
        view.instructions_iter()
            .filter(|found| usize::from(found.program_id_index) == program)
            .map(|found| (found.accounts, found.data)),
    )
}

/// The coin that a transaction trades, if it does.
#[must_use]
pub fn traded(view: &View<'_>) -> Option<[u8; 32]> {
    let keys = view.static_account_keys();
    let program = keys
        .iter()
        .position(|key| key.as_array() == &PUMP_PROGRAM)?;
    launch::traded(
        |index| Some(keys.get(usize::from(index))?.to_bytes()),
        view.instructions_iter()
            .filter(|found| usize::from(found.program_id_index) == program)
            .map(|found| (found.accounts, found.data)),
    )
}

/// Patches a compiled transaction and signs it.
pub struct TemplateBuilder {
    key: Ed25519KeyPair,
    user: Pubkey,
    order: Order,
    /// For coins of SPL Token and of Token-2022.
    templates: [Template; 2],
}

struct Template {
    bytes: Vec<u8>,
    /// Where mint, curve, the curve's two accounts and ours stand.
    keys: [usize; 5],
    tokens: usize,
    blockhash: usize,
}

/// Bytes before the message: the count of signatures and one signature.
const MESSAGE_AT: usize = 65;
/// Stand-ins that occur nowhere else in a message.
const STAND_INS: [[u8; 32]; 5] = [[0xa1; 32], [0xa2; 32], [0xa3; 32], [0xa4; 32], [0xa5; 32]];
const BLOCKHASH: [u8; 32] = [0xa6; 32];
const TOKENS: u64 = 0xa7a7_a7a7_a7a7_a7a7;

impl TemplateBuilder {
    /// For the wallet of `seed`.
    #[must_use]
    pub fn new(seed: [u8; 32], order: Order) -> Self {
        let sdk = SdkBuilder::new(seed, order);
        Self {
            key: Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes are a seed"),
            user: sdk.user(),
            order,
            templates: [TOKEN_PROGRAM, TOKEN_2022_PROGRAM]
                .map(|token_program| Template::compile(&sdk, &order, token_program)),
        }
    }

    /// The signed transaction, serialised into `out`.
    pub fn build(&self, launch: &Launch, blockhash: &[u8; 32], out: &mut Vec<u8>) {
        self.build_with(launch, &Derived::of(launch, &self.user), blockhash, out);
    }

    /// As [`TemplateBuilder::build`], with derived addresses given.
    pub fn build_with(
        &self,
        launch: &Launch,
        derived: &Derived,
        blockhash: &[u8; 32],
        out: &mut Vec<u8>,
    ) {
        let template = &self.templates[usize::from(launch.token_program == TOKEN_2022_PROGRAM)];
        out.clear();
        out.extend_from_slice(&template.bytes);
        let keys = [
            &launch.mint,
            &launch.bonding_curve,
            &launch.associated_bonding_curve,
            derived.curve_quote.as_array(),
            derived.user_base.as_array(),
        ];
        for (at, key) in template.keys.iter().zip(keys) {
            out[*at..*at + 32].copy_from_slice(key);
        }
        out[template.blockhash..template.blockhash + 32].copy_from_slice(blockhash);
        let tokens = launch.tokens(&self.order).to_le_bytes();
        out[template.tokens..template.tokens + 8].copy_from_slice(&tokens);
        let signature = self.key.sign(&out[MESSAGE_AT..]);
        out[1..MESSAGE_AT].copy_from_slice(signature.as_ref());
    }
}

impl Template {
    fn compile(sdk: &SdkBuilder, order: &Order, token_program: [u8; 32]) -> Self {
        let [
            mint,
            bonding_curve,
            associated_bonding_curve,
            curve_quote,
            user_base,
        ] = STAND_INS;
        let launch = Launch {
            mint,
            bonding_curve,
            associated_bonding_curve,
            token_program,
            dev_buy: 0,
        };
        let derived = Derived {
            user_base: user_base.into(),
            curve_quote: curve_quote.into(),
        };
        let message = sdk.message_with(&launch, &derived, order.spend, TOKENS, &BLOCKHASH);
        let mut bytes = vec![0; MESSAGE_AT];
        bytes[0] = 1;
        bytes.extend(message.serialize());
        let find = |wanted: &[u8]| {
            let mut found = bytes.windows(wanted.len()).enumerate();
            let (at, _) = found
                .find(|(_, window)| *window == wanted)
                .expect("the stand-in is in the message");
            at
        };
        Self {
            keys: STAND_INS.map(|key| find(&key)),
            tokens: find(&TOKENS.to_le_bytes()),
            blockhash: find(&BLOCKHASH),
            bytes,
        }
    }
}

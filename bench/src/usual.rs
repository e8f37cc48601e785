//! The usual way from a batch to transactions, and from a transaction to a signed bundle: everything deserialised
//! into the SDK's types, instructions built, compiled, signed and serialised by the SDK.

use bundle::LookupTable;
use bundle::address::{
    ASSOCIATED_TOKEN_PROGRAM, PUMP_EVENT_AUTHORITY, PUMP_FEE_CONFIG, PUMP_GLOBAL, PUMP_PROGRAM,
    TOKEN_PROGRAM, WRAPPED_SOL,
};
use market::pump::discriminator;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_message::{AddressLookupTableAccount, VersionedMessage, v0};
use solana_sdk::hash::Hash;
use solana_sdk::instruction::{AccountMeta, Instruction};
use solana_sdk::pubkey::Pubkey;
use solana_sdk::signature::Keypair;
use solana_sdk::signer::Signer;
use solana_transaction::versioned::VersionedTransaction;
use wincode::SchemaRead;

use crate::launch::{self, Launch, Order};

/// An entry as validators deserialise it.
#[derive(SchemaRead)]
pub struct Entry {
    /// Steps of the hash chain since the entry before.
    pub num_hashes: u64,
    /// The chain's hash.
    pub hash: [u8; 32],
    /// Its transactions.
    pub transactions: Vec<VersionedTransaction>,
}

/// Every entry of a batch; none when the batch is a block marker or cannot be read.
#[must_use]
pub fn entries(batch: &[u8]) -> Vec<Entry> {
    match batch.first_chunk::<8>() {
        Some(count) if *count != [0; 8] => wincode::deserialize(batch).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The launch in a transaction, if it is one.
#[must_use]
pub fn launch(transaction: &VersionedTransaction) -> Option<Launch> {
    let keys = transaction.message.static_account_keys();
    let pump = Pubkey::from(PUMP_PROGRAM);
    let program = keys.iter().position(|key| *key == pump)?;
    let instructions = transaction.message.instructions().iter();
    Launch::find(
        |index| Some(keys.get(usize::from(index))?.to_bytes()),
        instructions
            .filter(|found| usize::from(found.program_id_index) == program)
            .map(|found| (found.accounts.as_slice(), found.data.as_slice())),
    )
}

/// The coin that a transaction trades, if it does.
#[must_use]
pub fn traded(transaction: &VersionedTransaction) -> Option<[u8; 32]> {
    let keys = transaction.message.static_account_keys();
    let pump = Pubkey::from(PUMP_PROGRAM);
    let program = keys.iter().position(|key| *key == pump)?;
    let instructions = transaction.message.instructions().iter();
    launch::traded(
        |index| Some(keys.get(usize::from(index))?.to_bytes()),
        instructions
            .filter(|found| usize::from(found.program_id_index) == program)
            .map(|found| (found.accounts.as_slice(), found.data.as_slice())),
    )
}

/// Builds and signs with the SDK.
pub struct SdkBuilder {
    keypair: Keypair,
    own: Own,
    order: Order,
    tables: Vec<AddressLookupTableAccount>,
}

/// Addresses that do not depend on the coin, derived once.
#[derive(Debug, Clone, Copy)]
struct Own {
    user: Pubkey,
    wrapped_sol: Pubkey,
    volume_accumulator: Pubkey,
}

impl SdkBuilder {
    /// For the wallet of `seed`.
    #[must_use]
    pub fn new(seed: [u8; 32], order: Order) -> Self {
        let keypair = Keypair::new_from_array(seed);
        let user = keypair.pubkey();
        let pump = Pubkey::from(PUMP_PROGRAM);
        let seeds: [&[u8]; 2] = [b"user_volume_accumulator", user.as_ref()];
        let own = Own {
            user,
            wrapped_sol: associated_token(&user, &TOKEN_PROGRAM.into(), &WRAPPED_SOL.into()),
            volume_accumulator: Pubkey::find_program_address(&seeds, &pump).0,
        };
        Self {
            keypair,
            own,
            order,
            tables: Vec::new(),
        }
    }

    /// The same, whose messages look up what `table` holds.
    #[must_use]
    pub fn with_table(mut self, table: &LookupTable) -> Self {
        let addresses = table.addresses.iter();
        self.tables.push(AddressLookupTableAccount {
            key: table.key.into(),
            addresses: addresses.map(|key| Pubkey::from(*key)).collect(),
        });
        self
    }

    /// The signed transaction, serialised.
    #[must_use]
    pub fn build(&self, launch: &Launch, blockhash: &[u8; 32]) -> Vec<u8> {
        self.build_with(launch, &Derived::of(launch, &self.own.user), blockhash)
    }

    /// As [`SdkBuilder::build`], with derived addresses given.
    #[must_use]
    pub fn build_with(&self, launch: &Launch, derived: &Derived, blockhash: &[u8; 32]) -> Vec<u8> {
        let tokens = launch.tokens(&self.order);
        let message = self.message_with(launch, derived, self.order.spend, tokens, blockhash);
        let transaction = VersionedTransaction::try_new(message, &[&self.keypair])
            .expect("the only signer is here");
        wincode::serialize(&transaction).expect("a transaction serialises")
    }

    /// The compiled message, addresses derived on the way.
    #[must_use]
    pub fn message(
        &self,
        launch: &Launch,
        spend: u64,
        tokens: u64,
        blockhash: &[u8; 32],
    ) -> VersionedMessage {
        let derived = Derived::of(launch, &self.own.user);
        self.message_with(launch, &derived, spend, tokens, blockhash)
    }

    /// As [`SdkBuilder::message`], with derived addresses given.
    #[must_use]
    pub fn message_with(
        &self,
        launch: &Launch,
        derived: &Derived,
        spend: u64,
        tokens: u64,
        blockhash: &[u8; 32],
    ) -> VersionedMessage {
        let instructions = self.instructions(launch, derived, spend, tokens);
        compile(&self.own.user, &instructions, &self.tables, blockhash)
    }

    fn instructions(
        &self,
        launch: &Launch,
        derived: &Derived,
        spend: u64,
        tokens: u64,
    ) -> Vec<Instruction> {
        let Own {
            user,
            wrapped_sol,
            volume_accumulator,
        } = self.own;
        let key = |bytes: [u8; 32]| Pubkey::from(bytes);
        let read = |bytes: [u8; 32]| AccountMeta::new_readonly(key(bytes), false);
        let write = |key: Pubkey| AccountMeta::new(key, false);
        let budget = &self.order.budget;
        let create = Instruction {
            program_id: key(ASSOCIATED_TOKEN_PROGRAM),
            accounts: vec![
                AccountMeta::new(user, true),
                write(derived.user_base),
                AccountMeta::new_readonly(user, false),
                read(launch.mint),
                read([0; 32]),
                read(launch.token_program),
            ],
            data: vec![1],
        };
        let mut data = discriminator::BUY_V3.to_le_bytes().to_vec();
        data.extend_from_slice(&tokens.to_le_bytes());
        data.extend_from_slice(&spend.to_le_bytes());
        data.push(0);
        let buy = Instruction {
            program_id: key(PUMP_PROGRAM),
            accounts: vec![
                read(PUMP_GLOBAL),
                read(launch.mint),
                read(WRAPPED_SOL),
                read(launch.token_program),
                read(TOKEN_PROGRAM),
                write(key(launch.bonding_curve)),
                write(key(launch.associated_bonding_curve)),
                write(derived.curve_quote),
                AccountMeta::new(user, true),
                write(derived.user_base),
                write(wrapped_sol),
                write(volume_accumulator),
                read(PUMP_FEE_CONFIG),
                write(key(self.order.buyback_recipient)),
                read([0; 32]),
                read(PUMP_EVENT_AUTHORITY),
                read(PUMP_PROGRAM),
            ],
            data,
        };
        vec![
            ComputeBudgetInstruction::set_compute_unit_limit(budget.unit_limit),
            ComputeBudgetInstruction::set_compute_unit_price(budget.unit_price_micro_lamports),
            ComputeBudgetInstruction::set_loaded_accounts_data_size_limit(
                budget.loaded_accounts_data_size_limit,
            ),
            create,
            buy,
            solana_system_interface::instruction::transfer(
                &user,
                &key(self.order.tip_account),
                self.order.tip,
            ),
        ]
    }

    /// Our wallet.
    #[must_use]
    pub fn user(&self) -> Pubkey {
        self.own.user
    }
}

/// Addresses that depend on the coin and are not in its launch.
#[derive(Debug, Clone, Copy)]
pub struct Derived {
    /// Our account for the coin.
    pub user_base: Pubkey,
    /// The curve's account for wrapped SOL.
    pub curve_quote: Pubkey,
}

impl Derived {
    /// Derives both.
    #[must_use]
    pub fn of(launch: &Launch, user: &Pubkey) -> Self {
        Self {
            user_base: associated_token(user, &launch.token_program.into(), &launch.mint.into()),
            curve_quote: associated_token(
                &launch.bonding_curve.into(),
                &TOKEN_PROGRAM.into(),
                &WRAPPED_SOL.into(),
            ),
        }
    }
}

fn compile(
    user: &Pubkey,
    instructions: &[Instruction],
    tables: &[AddressLookupTableAccount],
    blockhash: &[u8; 32],
) -> VersionedMessage {
    let blockhash = Hash::new_from_array(*blockhash);
    let message = v0::Message::try_compile(user, instructions, tables, blockhash);
    VersionedMessage::V0(message.expect("the instructions fit a message"))
}

fn associated_token(wallet: &Pubkey, token_program: &Pubkey, mint: &Pubkey) -> Pubkey {
    let seeds = [wallet.as_ref(), token_program.as_ref(), mint.as_ref()];
    Pubkey::find_program_address(&seeds, &ASSOCIATED_TOKEN_PROGRAM.into()).0
}

//! The SVM with every program loaded, and what it measures.

use std::collections::BTreeMap;
use std::fmt;

use bundle::LookupTable;
use litesvm::LiteSVM;
use pump_rust_client::constants;
use solana_account::Account;
use solana_address::Address;
use solana_clock::Clock;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_message::{Message, VersionedMessage};
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::artifacts;

/// Raydium AMM v4.
pub const RAYDIUM_AMM: Address =
    Address::from_str_const("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8");
/// The order book that old AMM v4 pools were made over.
pub const SERUM_DEX: Address =
    Address::from_str_const("srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX");
/// Owner of every lookup table.
const LOOKUP_TABLE_PROGRAM: Address =
    Address::from_str_const("AddressLookupTab1e1111111111111111111111111");

/// File and mainnet address of every program.
const PROGRAMS: [(&str, Address); 7] = [
    ("pump", constants::pump::PROGRAM_ID),
    ("pump_amm", constants::pump_amm::PROGRAM_ID),
    ("pump_fees", constants::FEE_PROGRAM_ID),
    ("mayhem_program", constants::MAYHEM_PROGRAM_ID),
    (
        "mpl_token_metadata",
        constants::MPL_TOKEN_METADATA_PROGRAM_ID,
    ),
    ("raydium_amm_v4", RAYDIUM_AMM),
    ("serum_dex", SERUM_DEX),
];

/// Noon, 21 November 2026, Unix seconds: the clock of every test.
pub const NOW: i64 = 1_795_262_400;
/// A slot of that time.
pub const SLOT: u64 = 460_000_000;

/// One SVM with mainnet's features. Signatures and blockhashes are checked.
pub struct Machine {
    svm: LiteSVM,
    meter: Meter,
    last: Option<VersionedTransaction>,
}

/// What became of one transaction.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// `Ok` when it went through.
    pub result: Result<(), TransactionError>,
    /// Compute units it used.
    pub units: u64,
    /// Fee it paid, lamports: that of a failed transaction too, when it could be charged.
    pub fee: u64,
    /// What the programs logged.
    pub logs: Vec<String>,
}

impl Outcome {
    /// Whether it went through.
    #[must_use]
    pub const fn landed(&self) -> bool {
        self.result.is_ok()
    }

    /// The custom error of the program that refused.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        use solana_instruction::error::InstructionError;
        match &self.result {
            Err(TransactionError::InstructionError(_, InstructionError::Custom(code))) => {
                Some(*code)
            }
            _ => None,
        }
    }

    /// The outcome, when it went through.
    ///
    /// # Panics
    /// With the programs' logs, when it did not.
    #[track_caller]
    pub fn expect(self, what: &str) -> Self {
        assert!(
            self.landed(),
            "{what}: {:?}\n{}",
            self.result,
            self.logs.join("\n")
        );
        self
    }
}

impl Machine {
    /// A machine with the programs at their mainnet addresses.
    #[must_use]
    pub fn new() -> Self {
        let mut svm = LiteSVM::new().with_transaction_history(0);
        let folder = artifacts::folder();
        for (name, address) in PROGRAMS {
            svm.add_program(address, &artifacts::program(folder, name))
                .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        }
        svm.set_sysvar(&Clock {
            slot: SLOT,
            unix_timestamp: NOW,
            ..Clock::default()
        });
        Self {
            svm,
            meter: Meter::default(),
            last: None,
        }
    }

    /// The account, when it exists.
    #[must_use]
    pub fn account(&self, address: &Address) -> Option<Account> {
        self.svm.get_account(address)
    }

    /// Lamports at an address; 0 when there is no account.
    #[must_use]
    pub fn lamports(&self, address: &Address) -> u64 {
        self.svm.get_balance(address).unwrap_or(0)
    }

    /// Tokens in a token account of either program; 0 when there is none.
    #[must_use]
    pub fn tokens(&self, address: &Address) -> u64 {
        let account = self.account(address);
        account.map_or(0, |account| {
            account.data.get(64..72).map_or(0, |bytes| {
                u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
            })
        })
    }

    /// Writes an account as it is.
    ///
    /// # Panics
    /// When the machine refuses it.
    pub fn put(&mut self, address: Address, account: Account) {
        self.svm
            .set_account(address, account)
            .expect("an account the machine takes");
    }

    /// Writes an account with as many lamports as its rent asks for.
    pub fn put_data(&mut self, address: Address, owner: Address, data: Vec<u8>) {
        let lamports = self.rent(data.len());
        self.put(
            address,
            Account {
                lamports,
                data,
                owner,
                executable: false,
                rent_epoch: u64::MAX,
            },
        );
    }

    /// Puts a lookup table there that is in use and that nobody may change.
    ///
    /// Layout: `u32` kind 1, `u64` slot of its deactivation (the largest for never), `u64` slot it was extended in last,
    /// `u8` addresses it had before, no authority, zeros to byte 56, the addresses. Source:
    /// solana-address-lookup-table-interface 3 `state.rs`.
    pub fn put_table(&mut self, table: &LookupTable) {
        let mut data = 1_u32.to_le_bytes().to_vec();
        data.extend(u64::MAX.to_le_bytes());
        data.resize(56, 0);
        data.extend(table.addresses.concat());
        let address = Address::new_from_array(table.key);
        self.put_data(address, LOOKUP_TABLE_PROGRAM, data);
    }

    /// Sets the lamports of an address, making a wallet of it when there is nothing.
    pub fn fund(&mut self, address: &Address, lamports: u64) {
        let account = self.account(address).unwrap_or_default();
        self.put(
            *address,
            Account {
                lamports,
                ..account
            },
        );
    }

    /// Lamports that exempt an account of `len` bytes from rent.
    #[must_use]
    pub fn rent(&self, len: usize) -> u64 {
        self.svm.minimum_balance_for_rent_exemption(len)
    }

    /// A blockhash that was not handed out before.
    pub fn fresh_blockhash(&mut self) -> [u8; 32] {
        self.svm.expire_blockhash();
        self.svm.latest_blockhash().to_bytes()
    }

    /// Signs and runs instructions; `kind` names them in the table of compute units.
    ///
    /// # Panics
    /// When a signer is missing.
    pub fn run(
        &mut self,
        kind: &'static str,
        instructions: &[Instruction],
        signers: &[&Keypair],
    ) -> Outcome {
        self.svm.expire_blockhash();
        let payer = signers[0].pubkey();
        let hash = self.svm.latest_blockhash();
        let message = Message::new_with_blockhash(instructions, Some(&payer), &hash);
        let transaction = VersionedTransaction::try_new(VersionedMessage::Legacy(message), signers)
            .expect("every signer is given");
        self.send(kind, transaction)
    }

    /// Runs signed wire bytes, v0 or v1.
    ///
    /// # Panics
    /// When Solana's own decoder cannot read them.
    pub fn run_bytes(&mut self, kind: &'static str, bytes: &[u8]) -> Outcome {
        let transaction = wincode::deserialize(bytes).expect("bytes of a transaction");
        self.send(kind, transaction)
    }

    /// Runs wire bytes as an RPC node simulates them: no signature and no blockhash is checked, and nothing is kept.
    /// `None` when Solana's own decoder cannot read them.
    #[must_use]
    pub fn simulate(&self, bytes: &[u8]) -> Option<Outcome> {
        let transaction: VersionedTransaction = wincode::deserialize(bytes).ok()?;
        let svm = self.svm.clone().with_sigverify(false);
        let svm = svm.with_blockhash_check(false);
        let (result, meta) = match svm.simulate_transaction(transaction) {
            Ok(simulated) => (Ok(()), simulated.meta),
            Err(failed) => (Err(failed.err), failed.meta),
        };
        Some(Outcome {
            result,
            units: meta.compute_units_consumed,
            fee: meta.fee,
            logs: meta.logs,
        })
    }

    fn send(&mut self, kind: &'static str, transaction: VersionedTransaction) -> Outcome {
        self.last = Some(transaction.clone());
        match self.svm.send_transaction(transaction) {
            Ok(meta) => {
                self.meter.note(kind, meta.compute_units_consumed);
                Outcome {
                    result: Ok(()),
                    units: meta.compute_units_consumed,
                    fee: meta.fee,
                    logs: meta.logs,
                }
            }
            Err(failed) => Outcome {
                result: Err(failed.err),
                units: failed.meta.compute_units_consumed,
                fee: failed.meta.fee,
                logs: failed.meta.logs,
            },
        }
    }

    /// The last transaction run, as it stands in a block: its wire bytes and the accounts it names.
    ///
    /// # Panics
    /// When none was run yet.
    #[must_use]
    pub fn last(&self) -> (Vec<u8>, Vec<Address>) {
        let last = self.last.as_ref().expect("a transaction was run");
        let bytes = wincode::serialize(last).expect("what was run can be written");
        (bytes, last.message.static_account_keys().to_vec())
    }

    /// Compute units by kind of transaction.
    #[must_use]
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// Asks for more compute units than an instruction gets by itself.
///
/// Source: solana-compute-budget-interface 3 (`SetComputeUnitLimit` is borsh tag 2).
#[must_use]
pub fn compute_limit(units: u32) -> Instruction {
    Instruction {
        program_id: Address::from_str_const("ComputeBudget111111111111111111111111111111"),
        accounts: Vec::new(),
        data: [&[2], &units.to_le_bytes()[..]].concat(),
    }
}

/// Compute units of the transactions that went through, by kind.
#[derive(Clone, Debug, Default)]
pub struct Meter(BTreeMap<&'static str, Units>);

/// Compute units of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    /// How many transactions.
    pub count: u64,
    /// Fewest units one took.
    pub min: u64,
    /// Most units one took.
    pub max: u64,
    /// Units of all.
    pub sum: u64,
}

impl Meter {
    fn note(&mut self, kind: &'static str, units: u64) {
        let entry = self.0.entry(kind).or_insert(Units {
            count: 0,
            min: u64::MAX,
            max: 0,
            sum: 0,
        });
        entry.count += 1;
        entry.min = entry.min.min(units);
        entry.max = entry.max.max(units);
        entry.sum += units;
    }

    /// Units of one kind, when any went through.
    #[must_use]
    pub fn of(&self, kind: &str) -> Option<&Units> {
        self.0.get(kind)
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<44} {:>7} {:>8} {:>8} {:>8}",
            "compute units", "count", "min", "mean", "max"
        )?;
        for (kind, units) in &self.0 {
            let mean = units.sum / units.count;
            writeln!(
                f,
                "{kind:<44} {:>7} {:>8} {mean:>8} {:>8}",
                units.count, units.min, units.max
            )?;
        }
        Ok(())
    }
}

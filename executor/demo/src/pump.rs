//! Pump's instructions: account orders, data, and which coin and trader addresses they need.
//!
//! Source: `pump.json` of package `pump-rust-client` 0.5.0. The trailing accounts of v1 trades are
//! not in that file; they are what its client appends.

use crate::keys::{
    ASSOCIATED_TOKEN, Key, MAYHEM, PUMP, PUMP_EVENT_AUTHORITY, PUMP_FEE_CONFIG, PUMP_FEES,
    PUMP_GLOBAL, PUMP_GLOBAL_VOLUME, RENT, SYSTEM, TOKEN, TOKEN_2022, TOKEN_METADATA, WRAPPED_SOL,
    associated_token, bonding_curve, bonding_curve_v2, creator_vault, program_address,
    sharing_config, user_volume_accumulator,
};
use crate::txn::{AccountMeta, Instruction};

const CREATE: [u8; 8] = [0x18, 0x1e, 0xc8, 0x28, 0x05, 0x1c, 0x07, 0x77];
const CREATE_V2: [u8; 8] = [0xd6, 0x90, 0x4c, 0xec, 0x5f, 0x8b, 0x31, 0xb4];
const BUY_V1: [u8; 8] = [0x66, 0x06, 0x3d, 0x12, 0x01, 0xda, 0xeb, 0xea];
const BUY_EXACT_IN_V1: [u8; 8] = [0x38, 0xfc, 0x74, 0x08, 0x9e, 0xdf, 0xcd, 0x5f];
const SELL_V1: [u8; 8] = [0x33, 0xe6, 0x85, 0xa4, 0x01, 0x7f, 0x83, 0xad];
const BUY_V2: [u8; 8] = [0xb8, 0x17, 0xee, 0x61, 0x67, 0xc5, 0xd3, 0x3d];
const BUY_EXACT_IN_V2: [u8; 8] = [0xc2, 0xab, 0x1c, 0x46, 0x68, 0x4d, 0x5b, 0x2f];
const SELL_V2: [u8; 8] = [0x5d, 0xf6, 0x82, 0x3c, 0xe7, 0xe9, 0x40, 0xb2];
const BUY_V3: [u8; 8] = [0x07, 0x05, 0x1d, 0xc4, 0xf5, 0x17, 0x65, 0x50];
const BUY_EXACT_IN_V3: [u8; 8] = [0xe1, 0xf7, 0x50, 0x1e, 0xd5, 0xb3, 0x84, 0x88];
const SELL_V3: [u8; 8] = [0x1c, 0x92, 0xde, 0x77, 0x26, 0xc4, 0x69, 0xd5];

/// Generation of a trade instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// `buy`, `buy_exact_sol_in`, `sell`.
    V1,
    /// `buy_v2`, `buy_exact_quote_in_v2`, `sell_v2`.
    V2,
    /// `buy_v3`, `buy_exact_quote_in_v3`, `sell_v3`.
    V3,
}

/// What a trade instruction asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Buy as much as a budget allows.
    BuyExactIn {
        /// Whole budget in lamports, fees included.
        spend_lamports: u64,
        /// Fewest raw tokens accepted.
        tokens_min: u64,
    },
    /// Buy an amount.
    BuyExactOut {
        /// Raw tokens wanted.
        tokens: u64,
        /// Most lamports to pay, fees included.
        cost_lamports_max: u64,
    },
    /// Sell an amount.
    Sell {
        /// Raw tokens sold.
        tokens: u64,
        /// Fewest lamports accepted after fees.
        receive_lamports_min: u64,
    },
}

/// One trade instruction's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Generation.
    pub generation: Generation,
    /// What is asked for.
    pub order: Order,
    /// Take what the curve has left rather than fail; sells ignore it.
    pub partial_fill: bool,
}

/// Addresses of a coin, derived once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// Mint.
    pub mint: Key,
    /// Token-2022 for `create_v2` coins, SPL token for `create` coins.
    pub token_program: Key,
    /// Creator named at the launch.
    pub creator: Key,
    /// Mayhem mode.
    pub mayhem: bool,
    /// Cashback coin: v3 refuses it.
    pub cashback: bool,
    /// The coin's own creator fee; 0 = the schedule's.
    pub creator_fee_bps: u64,
    /// Curve account.
    pub bonding_curve: Key,
    /// The curve's token account.
    pub associated_bonding_curve: Key,
    associated_quote_bonding_curve: Key,
    bonding_curve_v2: Key,
    creator_vault: Key,
    associated_creator_vault: Key,
    sharing_config: Key,
}

impl Coin {
    /// Derives every address of a coin.
    pub fn new(
        mint: Key,
        token_program: Key,
        creator: Key,
        mayhem: bool,
        cashback: bool,
        creator_fee_bps: u64,
    ) -> Self {
        let curve = bonding_curve(&mint);
        let vault = creator_vault(&creator);
        Self {
            mint,
            token_program,
            creator,
            mayhem,
            cashback,
            creator_fee_bps,
            bonding_curve: curve,
            associated_bonding_curve: associated_token(&curve, &token_program, &mint),
            associated_quote_bonding_curve: associated_token(&curve, &TOKEN, &WRAPPED_SOL),
            bonding_curve_v2: bonding_curve_v2(&mint),
            creator_vault: vault,
            associated_creator_vault: associated_token(&vault, &TOKEN, &WRAPPED_SOL),
            sharing_config: sharing_config(&mint),
        }
    }

    /// Where the creator's fees of v1 and v2 trades go.
    pub fn creator_vault(&self) -> &Key {
        &self.creator_vault
    }
}

/// Addresses of a trader that do not depend on the coin, derived once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Wallet.
    pub key: Key,
    /// Volume accumulator; created by the first trade.
    pub volume_accumulator: Key,
    associated_quote: Key,
    associated_volume_accumulator: Key,
}

impl User {
    /// Derives a trader's addresses.
    pub fn new(key: Key) -> Self {
        let volume_accumulator = user_volume_accumulator(&key);
        Self {
            key,
            volume_accumulator,
            associated_quote: associated_token(&key, &TOKEN, &WRAPPED_SOL),
            associated_volume_accumulator: associated_token(
                &volume_accumulator,
                &TOKEN,
                &WRAPPED_SOL,
            ),
        }
    }
}

/// Who is paid in a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipients {
    /// Protocol fee of v1 and v2.
    pub fee: Key,
    /// Buyback slice of every generation.
    pub buyback: Key,
}

impl Trade {
    /// Whether it buys.
    pub fn is_buy(&self) -> bool {
        !matches!(self.order, Order::Sell { .. })
    }

    /// Reads instruction data; `None` when it is no trade. Options left off the end are false.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let (disc, rest) = data.split_first_chunk::<8>()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (second, options) = rest.split_first_chunk::<8>()?;
        let (first, second) = (u64::from_le_bytes(*first), u64::from_le_bytes(*second));
        let exact_in = Order::BuyExactIn {
            spend_lamports: first,
            tokens_min: second,
        };
        let exact_out = Order::BuyExactOut {
            tokens: first,
            cost_lamports_max: second,
        };
        let sell = Order::Sell {
            tokens: first,
            receive_lamports_min: second,
        };
        let (generation, order) = match *disc {
            BUY_V1 => (Generation::V1, exact_out),
            BUY_EXACT_IN_V1 => (Generation::V1, exact_in),
            SELL_V1 => (Generation::V1, sell),
            BUY_V2 => (Generation::V2, exact_out),
            BUY_EXACT_IN_V2 => (Generation::V2, exact_in),
            SELL_V2 => (Generation::V2, sell),
            BUY_V3 => (Generation::V3, exact_out),
            BUY_EXACT_IN_V3 => (Generation::V3, exact_in),
            SELL_V3 => (Generation::V3, sell),
            _ => return None,
        };
        // v1 has `track_volume` before `partial_fill`.
        let partial_at = usize::from(generation == Generation::V1);
        Some(Self {
            generation,
            order,
            partial_fill: options.get(partial_at).is_some_and(|byte| *byte != 0),
        })
    }

    /// Writes instruction data.
    pub fn encode(&self) -> Vec<u8> {
        use Generation::{V1, V2, V3};
        let (disc, first, second) = match (self.generation, self.order) {
            (
                V1,
                Order::BuyExactOut {
                    tokens,
                    cost_lamports_max,
                },
            ) => (BUY_V1, tokens, cost_lamports_max),
            (
                V1,
                Order::BuyExactIn {
                    spend_lamports,
                    tokens_min,
                },
            ) => (BUY_EXACT_IN_V1, spend_lamports, tokens_min),
            (
                V1,
                Order::Sell {
                    tokens,
                    receive_lamports_min,
                },
            ) => (SELL_V1, tokens, receive_lamports_min),
            (
                V2,
                Order::BuyExactOut {
                    tokens,
                    cost_lamports_max,
                },
            ) => (BUY_V2, tokens, cost_lamports_max),
            (
                V2,
                Order::BuyExactIn {
                    spend_lamports,
                    tokens_min,
                },
            ) => (BUY_EXACT_IN_V2, spend_lamports, tokens_min),
            (
                V2,
                Order::Sell {
                    tokens,
                    receive_lamports_min,
                },
            ) => (SELL_V2, tokens, receive_lamports_min),
            (
                V3,
                Order::BuyExactOut {
                    tokens,
                    cost_lamports_max,
                },
            ) => (BUY_V3, tokens, cost_lamports_max),
            (
                V3,
                Order::BuyExactIn {
                    spend_lamports,
                    tokens_min,
                },
            ) => (BUY_EXACT_IN_V3, spend_lamports, tokens_min),
            (
                V3,
                Order::Sell {
                    tokens,
                    receive_lamports_min,
                },
            ) => (SELL_V3, tokens, receive_lamports_min),
        };
        let mut data = disc.to_vec();
        data.extend_from_slice(&first.to_le_bytes());
        data.extend_from_slice(&second.to_le_bytes());
        if self.is_buy() {
            data.extend(if self.generation == V1 {
                vec![1]
            } else {
                vec![]
            });
            data.push(u8::from(self.partial_fill));
        }
        data
    }

    /// Where the mint, the curve and the user stand in this trade's accounts.
    pub fn places(&self) -> Places {
        match self.generation {
            Generation::V1 => Places {
                mint: 2,
                curve: 3,
                user: 6,
                fee: Some(1),
                buyback: Buyback::Last,
            },
            Generation::V2 => Places {
                mint: 1,
                curve: 10,
                user: 13,
                fee: Some(6),
                buyback: Buyback::At(8),
            },
            Generation::V3 => Places {
                mint: 1,
                curve: 5,
                user: 8,
                fee: None,
                buyback: Buyback::At(13),
            },
        }
    }

    /// The accounts of this trade, in order.
    pub fn accounts(&self, coin: &Coin, user: &User, recipients: &Recipients) -> Vec<AccountMeta> {
        let associated_user = associated_token(&user.key, &coin.token_program, &coin.mint);
        match self.generation {
            Generation::V1 => self.accounts_v1(coin, user, recipients, associated_user),
            Generation::V2 => self.accounts_v2(coin, user, recipients, associated_user),
            Generation::V3 => accounts_v3(coin, user, recipients, associated_user),
        }
    }

    fn accounts_v1(
        &self,
        coin: &Coin,
        user: &User,
        recipients: &Recipients,
        associated_user: Key,
    ) -> Vec<AccountMeta> {
        use AccountMeta as A;
        let mut accounts = vec![
            A::read(PUMP_GLOBAL),
            A::write(recipients.fee),
            A::read(coin.mint),
            A::write(coin.bonding_curve),
            A::write(coin.associated_bonding_curve),
            A::write(associated_user),
            A::sign(user.key),
            A::read(SYSTEM),
        ];
        // Sells have these two the other way round.
        let (program, vault) = (A::read(coin.token_program), A::write(coin.creator_vault));
        accounts.extend(if self.is_buy() {
            [program, vault]
        } else {
            [vault, program]
        });
        accounts.extend([A::read(PUMP_EVENT_AUTHORITY), A::read(PUMP)]);
        if self.is_buy() {
            accounts.extend([
                A::read(PUMP_GLOBAL_VOLUME),
                A::write(user.volume_accumulator),
            ]);
        }
        accounts.extend([A::read(PUMP_FEE_CONFIG), A::read(PUMP_FEES)]);
        if !self.is_buy() && coin.cashback {
            accounts.push(A::write(user.volume_accumulator));
        }
        accounts.extend([A::read(coin.bonding_curve_v2), A::write(recipients.buyback)]);
        accounts
    }

    fn accounts_v2(
        &self,
        coin: &Coin,
        user: &User,
        recipients: &Recipients,
        associated_user: Key,
    ) -> Vec<AccountMeta> {
        use AccountMeta as A;
        let quote_account = |owner: &Key| A::write(associated_token(owner, &TOKEN, &WRAPPED_SOL));
        let mut accounts = vec![
            A::read(PUMP_GLOBAL),
            A::read(coin.mint),
            A::read(WRAPPED_SOL),
            A::read(coin.token_program),
            A::read(TOKEN),
            A::read(ASSOCIATED_TOKEN),
            A::write(recipients.fee),
            quote_account(&recipients.fee),
            A::write(recipients.buyback),
            quote_account(&recipients.buyback),
            A::write(coin.bonding_curve),
            A::write(coin.associated_bonding_curve),
            A::write(coin.associated_quote_bonding_curve),
            A::sign(user.key),
            A::write(associated_user),
            A::write(user.associated_quote),
            A::write(coin.creator_vault),
            A::write(coin.associated_creator_vault),
            A::read(coin.sharing_config),
        ];
        if self.is_buy() {
            accounts.push(A::read(PUMP_GLOBAL_VOLUME));
        }
        accounts.extend([
            A::write(user.volume_accumulator),
            A::write(user.associated_volume_accumulator),
            A::read(PUMP_FEE_CONFIG),
            A::read(PUMP_FEES),
            A::read(SYSTEM),
            A::read(PUMP_EVENT_AUTHORITY),
            A::read(PUMP),
        ]);
        accounts
    }

    /// The whole instruction.
    pub fn instruction(&self, coin: &Coin, user: &User, recipients: &Recipients) -> Instruction {
        Instruction {
            program: PUMP,
            accounts: self.accounts(coin, user, recipients),
            data: self.encode(),
        }
    }
}

fn accounts_v3(
    coin: &Coin,
    user: &User,
    recipients: &Recipients,
    associated_user: Key,
) -> Vec<AccountMeta> {
    use AccountMeta as A;
    vec![
        A::read(PUMP_GLOBAL),
        A::read(coin.mint),
        A::read(WRAPPED_SOL),
        A::read(coin.token_program),
        A::read(TOKEN),
        A::write(coin.bonding_curve),
        A::write(coin.associated_bonding_curve),
        A::write(coin.associated_quote_bonding_curve),
        A::sign(user.key),
        A::write(associated_user),
        A::write(user.associated_quote),
        A::write(user.volume_accumulator),
        A::read(PUMP_FEE_CONFIG),
        A::write(recipients.buyback),
        A::read(SYSTEM),
        A::read(PUMP_EVENT_AUTHORITY),
        A::read(PUMP),
    ]
}

/// Where a trade's variable accounts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Index of the mint.
    pub mint: usize,
    /// Index of the bonding curve.
    pub curve: usize,
    /// Index of the user.
    pub user: usize,
    /// Index of the protocol fee recipient, where there is one.
    pub fee: Option<usize>,
    /// Index of the buyback recipient.
    pub buyback: Buyback,
}

/// Index of the buyback recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buyback {
    /// At this index.
    At(usize),
    /// The last account (v1: it is a trailing account).
    Last,
}

/// A launch read from `create` or `create_v2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Whether it was `create_v2`.
    pub v2: bool,
    /// Creator argument.
    pub creator: Key,
    /// Mayhem mode.
    pub mayhem: bool,
    /// Cashback coin.
    pub cashback: bool,
    /// The coin's own creator fee; 0 = the schedule's.
    pub creator_fee_bps: u64,
}

impl Launch {
    /// Index of the mint in both creates.
    pub const MINT_AT: usize = 0;
    /// Index of the curve in both creates.
    pub const CURVE_AT: usize = 2;

    /// Index of the user.
    pub fn user_at(&self) -> usize {
        if self.v2 { 5 } else { 7 }
    }

    /// Reads instruction data; `None` when it is no launch. Options left off the end are off.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let (disc, mut rest) = data.split_first_chunk::<8>()?;
        let v2 = match *disc {
            CREATE => false,
            CREATE_V2 => true,
            _ => return None,
        };
        for _name_symbol_uri in 0..3 {
            let (len, text) = rest.split_first_chunk::<4>()?;
            rest = text.get(u32::from_le_bytes(*len) as usize..)?;
        }
        let (creator, options) = rest.split_first_chunk::<32>()?;
        let flag = |at: usize| v2 && options.get(at).is_some_and(|byte| *byte != 0);
        let own_fee = options
            .get(2..10)
            .and_then(|bytes| bytes.first_chunk::<8>())
            .filter(|_| v2);
        let creator_fee_bps = own_fee.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Some(Self {
            v2,
            creator: *creator,
            mayhem: flag(0),
            cashback: flag(1),
            creator_fee_bps,
        })
    }
}

/// Name, symbol and metadata address of a coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Name.
    pub name: String,
    /// Symbol.
    pub symbol: String,
    /// Metadata.
    pub uri: String,
}

/// `create_v2` for `coin`, paid by `user`. `trailing` = false leaves the optional arguments off the
/// wire, as older clients do; the coin must not need them then.
pub fn create_v2(coin: &Coin, user: &Key, label: &Label, trailing: bool) -> Instruction {
    use AccountMeta as A;
    let sol_vault = program_address(&[b"sol-vault"], &MAYHEM);
    let accounts = vec![
        A::sign(coin.mint),
        A::read(program_address(&[b"mint-authority"], &PUMP)),
        A::write(coin.bonding_curve),
        A::write(coin.associated_bonding_curve),
        A::read(PUMP_GLOBAL),
        A::sign(*user),
        A::read(SYSTEM),
        A::read(TOKEN_2022),
        A::read(ASSOCIATED_TOKEN),
        A::write(MAYHEM),
        A::read(program_address(&[b"global-params"], &MAYHEM)),
        A::write(sol_vault),
        A::write(program_address(&[b"mayhem-state", &coin.mint], &MAYHEM)),
        A::write(associated_token(&sol_vault, &TOKEN_2022, &coin.mint)),
        A::read(PUMP_EVENT_AUTHORITY),
        A::read(PUMP),
    ];
    let mut data = create_data(CREATE_V2, coin, label);
    data.push(u8::from(coin.mayhem));
    if trailing {
        data.push(u8::from(coin.cashback));
        data.extend_from_slice(&coin.creator_fee_bps.to_le_bytes());
        data.push(0);
    }
    Instruction {
        program: PUMP,
        accounts,
        data,
    }
}

/// The older `create` (SPL token and Metaplex metadata) for `coin`, paid by `user`.
pub fn create(coin: &Coin, user: &Key, label: &Label) -> Instruction {
    use AccountMeta as A;
    let metadata = program_address(&[b"metadata", &TOKEN_METADATA, &coin.mint], &TOKEN_METADATA);
    let accounts = vec![
        A::sign(coin.mint),
        A::read(program_address(&[b"mint-authority"], &PUMP)),
        A::write(coin.bonding_curve),
        A::write(coin.associated_bonding_curve),
        A::read(PUMP_GLOBAL),
        A::read(TOKEN_METADATA),
        A::write(metadata),
        A::sign(*user),
        A::read(SYSTEM),
        A::read(TOKEN),
        A::read(ASSOCIATED_TOKEN),
        A::read(RENT),
        A::read(PUMP_EVENT_AUTHORITY),
        A::read(PUMP),
    ];
    Instruction {
        program: PUMP,
        accounts,
        data: create_data(CREATE, coin, label),
    }
}

fn create_data(disc: [u8; 8], coin: &Coin, label: &Label) -> Vec<u8> {
    let mut data = disc.to_vec();
    for text in [&label.name, &label.symbol, &label.uri] {
        data.extend_from_slice(&(text.len() as u32).to_le_bytes());
        data.extend_from_slice(text.as_bytes());
    }
    data.extend_from_slice(&coin.creator);
    data
}

/// Creates the token account of `owner` for `mint` unless it exists; `payer` pays its rent.
pub fn create_token_account(
    payer: &Key,
    owner: &Key,
    token_program: &Key,
    mint: &Key,
) -> Instruction {
    use AccountMeta as A;
    let accounts = vec![
        A::sign(*payer),
        A::write(associated_token(owner, token_program, mint)),
        A::read(*owner),
        A::read(*mint),
        A::read(SYSTEM),
        A::read(*token_program),
    ];
    Instruction {
        program: ASSOCIATED_TOKEN,
        accounts,
        data: vec![1],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn coin(cashback: bool) -> Coin {
        Coin::new([1; 32], TOKEN_2022, [2; 32], false, cashback, 0)
    }

    fn trade(generation: Generation, order: Order) -> Trade {
        Trade {
            generation,
            order,
            partial_fill: matches!(order, Order::BuyExactIn { .. }),
        }
    }

    const ORDERS: [Order; 3] = [
        Order::BuyExactIn {
            spend_lamports: 5,
            tokens_min: 6,
        },
        Order::BuyExactOut {
            tokens: 7,
            cost_lamports_max: 8,
        },
        Order::Sell {
            tokens: 9,
            receive_lamports_min: 10,
        },
    ];

    #[test]
    fn account_counts_are_those_of_the_deployed_program() {
        let (user, recipients) = (
            User::new([3; 32]),
            Recipients {
                fee: [4; 32],
                buyback: [5; 32],
            },
        );
        let count = |generation, order| {
            trade(generation, order)
                .accounts(&coin(false), &user, &recipients)
                .len()
        };
        assert_eq!(
            ORDERS.map(|order| count(Generation::V1, order)),
            [18, 18, 16]
        );
        assert_eq!(
            ORDERS.map(|order| count(Generation::V2, order)),
            [27, 27, 26]
        );
        assert_eq!(
            ORDERS.map(|order| count(Generation::V3, order)),
            [17, 17, 17]
        );
        assert_eq!(
            trade(Generation::V1, ORDERS[2])
                .accounts(&coin(true), &user, &recipients)
                .len(),
            17
        );
    }

    #[test]
    fn places_point_at_what_they_name() {
        let (user, recipients) = (
            User::new([3; 32]),
            Recipients {
                fee: [4; 32],
                buyback: [5; 32],
            },
        );
        for generation in [Generation::V1, Generation::V2, Generation::V3] {
            for order in ORDERS {
                let trade = trade(generation, order);
                let (accounts, places) = (
                    trade.accounts(&coin(false), &user, &recipients),
                    trade.places(),
                );
                assert_eq!(accounts[places.mint].key, [1; 32]);
                assert_eq!(accounts[places.curve].key, bonding_curve(&[1; 32]));
                assert_eq!(accounts[places.user], AccountMeta::sign([3; 32]));
                assert!(places.fee.is_none_or(|at| accounts[at].key == [4; 32]));
                let buyback = match places.buyback {
                    Buyback::At(at) => accounts[at],
                    Buyback::Last => *accounts.last().unwrap(),
                };
                assert_eq!(buyback, AccountMeta::write([5; 32]));
            }
        }
    }

    #[test]
    fn data_reads_back_and_missing_options_are_off() {
        for generation in [Generation::V1, Generation::V2, Generation::V3] {
            for order in ORDERS {
                let written = trade(generation, order);
                let data = written.encode();
                assert_eq!(Trade::decode(&data), Some(written));
                assert_eq!(
                    Trade::decode(&data[..24]),
                    Some(Trade {
                        partial_fill: false,
                        ..written
                    })
                );
                assert_eq!(Trade::decode(&data[..23]), None);
            }
        }
    }

    #[test]
    fn launches_read_back_with_and_without_their_options() {
        let label = Label {
            name: "A".into(),
            symbol: "B".into(),
            uri: "C".into(),
        };
        let plain = Coin::new([1; 32], TOKEN_2022, [2; 32], true, true, 250);
        let read = Launch::decode(&create_v2(&plain, &[3; 32], &label, true).data).unwrap();
        assert_eq!(
            read,
            Launch {
                v2: true,
                creator: [2; 32],
                mayhem: true,
                cashback: true,
                creator_fee_bps: 250
            }
        );
        let short = Launch::decode(&create_v2(&coin(false), &[3; 32], &label, false).data).unwrap();
        assert!(!short.cashback && short.creator_fee_bps == 0);
        let older = create(&coin(false), &[3; 32], &label);
        let read = Launch::decode(&older.data).unwrap();
        assert!(!read.v2 && older.accounts[read.user_at()] == AccountMeta::sign([3; 32]));
        assert_eq!(create_v2(&plain, &[3; 32], &label, true).accounts.len(), 16);
        assert_eq!(Launch::decode(&older.data[..40]), None);
    }
}

//! Outer Pump instructions of one transaction, as events.
//!
//! Shreds carry no inner instructions: what a router does on the trader's behalf is not in the bytes, so it is
//! not in the events either.

use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

use crate::event::{Amounts, Form, Launch, MarketEvent, ShownAccounts, Side, Trade, Unresolved};
use crate::pump::{self, TradeLayout, create, discriminator};
use crate::units::{Key, Lamports, Mint, TokenAmount};

/// Why a Pump instruction gave no event. One byte, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum DecodeReject {
    /// A Pump instruction this decoder does not follow (claims, sweeps, administration).
    OtherInstruction,
    /// The data ends before a required argument.
    ShortData,
    /// Fewer accounts than the instruction needs.
    MissingAccounts,
    /// A required signer is behind a lookup table, which the runtime refuses.
    SignerUnresolved,
}

impl DecodeReject {
    /// How many reasons there are.
    pub const COUNT: usize = 4;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "other_instruction",
            "short_data",
            "missing_accounts",
            "signer_unresolved",
        ]
    }
}

/// What one transaction held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Decoded {
    /// Events handed to `emit`.
    pub event_count: u32,
    /// Pump instructions without an event, by [`DecodeReject`].
    pub rejected: [u32; DecodeReject::COUNT],
}

/// Hands every launch and trade among the outer instructions to `emit`, in instruction order.
///
/// Cost: one pass over the static keys; a transaction that does not name the Pump program ends there.
/// Allocates nothing and cannot panic, whatever the bytes are.
pub fn decode(
    txn: &TxnView<'_>,
    slot: Slot,
    at: Nanos,
    emit: &mut impl FnMut(MarketEvent),
) -> Decoded {
    let mut decoded = Decoded::default();
    // A program id is never loaded through a lookup table, so an absent key means an absent program.
    let Some(pump_index) = txn.keys().iter().position(|key| *key == pump::PROGRAM) else {
        return decoded;
    };
    let context = Context { txn, slot, at };
    for (position, instruction) in txn.instructions().enumerate() {
        if usize::from(instruction.program_index) != pump_index {
            continue;
        }
        match context.event(instruction.accounts, instruction.data, position) {
            Ok(event) => {
                decoded.event_count += 1;
                emit(event);
            }
            Err(reason) => decoded.rejected[reason as usize] += 1,
        }
    }
    decoded
}

/// What every event of one transaction shares.
#[derive(Clone, Copy)]
struct Context<'a> {
    txn: &'a TxnView<'a>,
    slot: Slot,
    at: Nanos,
}

impl Context<'_> {
    fn event(
        &self,
        accounts: &[u8],
        data: &[u8],
        position: usize,
    ) -> Result<MarketEvent, DecodeReject> {
        let mut arguments = Arguments(data);
        let accounts = Accounts {
            keys: self.txn.keys(),
            indexes: accounts,
        };
        match arguments.u64()? {
            discriminator::CREATE => self.launch(accounts, arguments, false, position),
            discriminator::CREATE_V2 => self.launch(accounts, arguments, true, position),
            discriminator::BUY => self.trade(
                accounts,
                arguments,
                &pump::BUY_V1,
                Shape::TokensOut,
                Form::V1,
            ),
            discriminator::BUY_EXACT_SOL_IN => {
                self.trade(accounts, arguments, &pump::BUY_V1, Shape::ExactIn, Form::V1)
            }
            discriminator::SELL => {
                self.trade(accounts, arguments, &pump::SELL_V1, Shape::Sell, Form::V1)
            }
            discriminator::BUY_V2 => self.trade(
                accounts,
                arguments,
                &pump::BUY_V2,
                Shape::TokensOut,
                Form::V2,
            ),
            discriminator::BUY_EXACT_QUOTE_IN_V2 => {
                self.trade(accounts, arguments, &pump::BUY_V2, Shape::ExactIn, Form::V2)
            }
            discriminator::SELL_V2 => {
                self.trade(accounts, arguments, &pump::SELL_V2, Shape::Sell, Form::V2)
            }
            discriminator::BUY_V3 => self.trade(
                accounts,
                arguments,
                &pump::TRADE_V3,
                Shape::TokensOut,
                Form::V3,
            ),
            discriminator::BUY_EXACT_QUOTE_IN_V3 => self.trade(
                accounts,
                arguments,
                &pump::TRADE_V3,
                Shape::ExactIn,
                Form::V3,
            ),
            discriminator::SELL_V3 => {
                self.trade(accounts, arguments, &pump::TRADE_V3, Shape::Sell, Form::V3)
            }
            _ => Err(DecodeReject::OtherInstruction),
        }
    }

    fn launch(
        &self,
        accounts: Accounts<'_>,
        mut arguments: Arguments<'_>,
        is_v2: bool,
        position: usize,
    ) -> Result<MarketEvent, DecodeReject> {
        let (len_min, user) = if is_v2 {
            (create::V2_LEN, create::V2_USER)
        } else {
            (create::V1_LEN, create::V1_USER)
        };
        accounts.at_least(len_min)?;
        for _name_symbol_uri in 0..3 {
            arguments.skip_string()?;
        }
        let creator = arguments.key()?;
        // `is_mayhem_mode` is required by `create_v2`; what follows may be left off the wire, and a missing
        // argument reads as false or zero.
        let mayhem = is_v2 && arguments.flag()?;
        let cashback = is_v2 && arguments.optional_flag().unwrap_or(false);
        let creator_fee_bps = if is_v2 { arguments.u64().ok() } else { None };
        let holder_reward = is_v2 && arguments.optional_flag().unwrap_or(false);
        let mint = Mint(accounts.signer(create::MINT)?);
        Ok(MarketEvent::Launch(Launch {
            mint,
            user: accounts.signer(user)?,
            creator,
            bonding_curve: accounts.shown(create::BONDING_CURVE),
            associated_bonding_curve: accounts.shown(create::ASSOCIATED_BONDING_CURVE),
            token_program: if is_v2 {
                pump::TOKEN_2022_PROGRAM
            } else {
                pump::TOKEN_PROGRAM
            },
            quote_mint: accounts.launch_quote(is_v2),
            is_v2,
            mayhem,
            cashback,
            holder_reward,
            creator_fee_bps,
            dev_buy_follows: self.buys_after(position, mint),
            slot: self.slot,
            at: self.at,
            signature: *self.txn.signature(),
        }))
    }

    /// Whether an outer Pump instruction after `position` buys `mint`.
    fn buys_after(&self, position: usize, mint: Mint) -> bool {
        self.txn
            .instructions()
            .skip(position + 1)
            .any(|instruction| {
                let is_pump = self.txn.keys().get(usize::from(instruction.program_index))
                    == Some(&pump::PROGRAM);
                let accounts = Accounts {
                    keys: self.txn.keys(),
                    indexes: instruction.accounts,
                };
                is_pump
                    && Arguments(instruction.data)
                        .u64()
                        .ok()
                        .and_then(buy_layout)
                        .is_some_and(|layout| accounts.shown(layout.mint) == Some(mint.0))
            })
    }

    fn trade(
        &self,
        accounts: Accounts<'_>,
        mut arguments: Arguments<'_>,
        layout: &TradeLayout,
        shape: Shape,
        form: Form,
    ) -> Result<MarketEvent, DecodeReject> {
        accounts.at_least(layout.len_min)?;
        let amounts = shape.amounts(arguments.u64()?, arguments.u64()?);
        let side = shape.side();
        if side == Side::Buy && form == Form::V1 {
            let _track_volume = arguments.optional_flag();
        }
        let partial_fill = if side == Side::Buy {
            arguments.optional_flag()
        } else {
            None
        };
        let trader = accounts.signer(layout.user)?;
        let (slot, at, signature) = (self.slot, self.at, *self.txn.signature());
        let Some(mint) = accounts.shown(layout.mint) else {
            let bonding_curve = accounts.shown(layout.bonding_curve);
            return Ok(MarketEvent::Unresolved(Unresolved {
                trader,
                bonding_curve,
                side,
                form,
                amounts,
                slot,
                at,
                signature,
            }));
        };
        let shown = accounts.of_trade(layout, side, form);
        Ok(MarketEvent::Trade(Trade {
            mint: Mint(mint),
            trader,
            side,
            amounts,
            form,
            partial_fill,
            shown,
            slot,
            at,
            signature,
        }))
    }
}

/// How a trade's two numbers are meant.
#[derive(Clone, Copy)]
enum Shape {
    ExactIn,
    TokensOut,
    Sell,
}

impl Shape {
    const fn side(self) -> Side {
        match self {
            Self::ExactIn | Self::TokensOut => Side::Buy,
            Self::Sell => Side::Sell,
        }
    }

    const fn amounts(self, first: u64, second: u64) -> Amounts {
        match self {
            Self::ExactIn => Amounts::ExactIn {
                quote_in: Lamports(first),
                tokens_min: TokenAmount(second),
            },
            Self::TokensOut => Amounts::TokensOut {
                tokens: TokenAmount(first),
                quote_max: Lamports(second),
            },
            Self::Sell => Amounts::Sell {
                tokens: TokenAmount(first),
                quote_min: Lamports(second),
            },
        }
    }
}

/// Layout of a buy instruction, or `None` for every other discriminator.
const fn buy_layout(discriminator: u64) -> Option<&'static TradeLayout> {
    match discriminator {
        discriminator::BUY | discriminator::BUY_EXACT_SOL_IN => Some(&pump::BUY_V1),
        discriminator::BUY_V2 | discriminator::BUY_EXACT_QUOTE_IN_V2 => Some(&pump::BUY_V2),
        discriminator::BUY_V3 | discriminator::BUY_EXACT_QUOTE_IN_V3 => Some(&pump::TRADE_V3),
        _ => None,
    }
}

/// An instruction's accounts, as far as the transaction's own keys reach.
#[derive(Clone, Copy)]
struct Accounts<'a> {
    keys: &'a [Key],
    indexes: &'a [u8],
}

impl Accounts<'_> {
    fn at_least(&self, len_min: usize) -> Result<(), DecodeReject> {
        if self.indexes.len() < len_min {
            Err(DecodeReject::MissingAccounts)
        } else {
            Ok(())
        }
    }

    /// The account at `position`; `None` when there is none or it sits behind a lookup table.
    #[inline]
    fn shown(&self, position: usize) -> Option<Key> {
        let index = *self.indexes.get(position)?;
        self.keys.get(usize::from(index)).copied()
    }

    fn signer(&self, position: usize) -> Result<Key, DecodeReject> {
        self.shown(position).ok_or(DecodeReject::SignerUnresolved)
    }

    /// What a launch is priced in: wrapped SOL when `create_v2` names nothing else, `None` when hidden.
    fn launch_quote(&self, is_v2: bool) -> Option<Key> {
        if !is_v2 || self.indexes.len() <= create::V2_QUOTE_MINT {
            return Some(pump::WRAPPED_SOL);
        }
        self.shown(create::V2_QUOTE_MINT)
    }

    fn of_trade(&self, layout: &TradeLayout, side: Side, form: Form) -> ShownAccounts {
        ShownAccounts {
            bonding_curve: self.shown(layout.bonding_curve),
            associated_bonding_curve: self.shown(layout.associated_bonding_curve),
            token_program: self.shown(layout.token_program),
            quote_mint: self.shown(layout.quote_mint),
            associated_quote_bonding_curve: self.shown(layout.associated_quote_bonding_curve),
            creator_vault: self.shown(layout.creator_vault),
            associated_creator_vault: self.shown(layout.associated_creator_vault),
            sharing_config: self.shown(layout.sharing_config),
            fee_recipient: self.shown(layout.fee_recipient),
            buyback_fee_recipient: match (side, form) {
                (Side::Sell, Form::V1) => self.sell_v1_buyback(),
                _ => self.shown(layout.buyback_fee_recipient),
            },
        }
    }

    /// The last of `sell`'s two trailing accounts, which only the newer 16- and 17-account forms carry.
    fn sell_v1_buyback(&self) -> Option<Key> {
        let len = self.indexes.len();
        if len < pump::SELL_V1.len_min + 2 {
            None
        } else {
            self.shown(len - 1)
        }
    }
}

/// An instruction's borsh arguments, read from the front.
struct Arguments<'a>(&'a [u8]);

impl Arguments<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeReject> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(DecodeReject::ShortData)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u64(&mut self) -> Result<u64, DecodeReject> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn key(&mut self) -> Result<Key, DecodeReject> {
        self.take()
    }

    fn flag(&mut self) -> Result<bool, DecodeReject> {
        Ok(self.take::<1>()? != [0])
    }

    /// An `OptionBool`: one byte that older callers leave off.
    fn optional_flag(&mut self) -> Option<bool> {
        self.flag().ok()
    }

    /// A borsh string: a length in four bytes, then that many bytes.
    fn skip_string(&mut self) -> Result<(), DecodeReject> {
        let len = u32::from_le_bytes(self.take()?) as usize;
        self.0 = self.0.get(len..).ok_or(DecodeReject::ShortData)?;
        Ok(())
    }
}

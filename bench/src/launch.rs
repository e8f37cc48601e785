//! How the rivals recognise a launch and what they answer with: the same rule for both, and as little as does it.

use bundle::ComputeBudget;
use market::pump::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM, discriminator, fresh};

/// A coin's launch with the launcher's first buy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// The coin.
    pub mint: [u8; 32],
    /// Its curve.
    pub bonding_curve: [u8; 32],
    /// The curve's account for the coin.
    pub associated_bonding_curve: [u8; 32],
    /// Owner of the mint.
    pub token_program: [u8; 32],
    /// Lamports of the launcher's buy.
    pub dev_buy: u64,
}

/// What the rivals buy with, the same as ours.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Most lamports in, fees included.
    pub spend: u64,
    /// How far the tokens may fall short, basis points.
    pub slippage_bps: u64,
    /// Least dev buy.
    pub dev_buy_min: u64,
    /// Most dev buy.
    pub dev_buy_max: u64,
    /// Lamports of tip.
    pub tip: u64,
    /// To whom.
    pub tip_account: [u8; 32],
    /// Pump's buyback recipient.
    pub buyback_recipient: [u8; 32],
    /// Compute budget.
    pub budget: ComputeBudget,
}

impl Launch {
    /// Reads Pump's instructions of one transaction: accounts (indexes) and data each.
    ///
    /// Mayhem and cashback coins are passed over, as are launches without a buy of their own by an exact amount.
    pub fn find<'a>(
        key: impl Fn(u8) -> Option<[u8; 32]>,
        mut instructions: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Option<Self> {
        let (accounts, token_program) = loop {
            let (accounts, data) = instructions.next()?;
            match u64_at(data, 0)? {
                discriminator::CREATE => break (accounts, TOKEN_PROGRAM),
                discriminator::CREATE_V2 => {
                    is_ordinary(data)?;
                    break (accounts, TOKEN_2022_PROGRAM);
                }
                _ => {}
            }
        };
        let dev_buy = loop {
            let (_, data) = instructions.next()?;
            if let discriminator::BUY_EXACT_SOL_IN
            | discriminator::BUY_EXACT_QUOTE_IN_V2
            | discriminator::BUY_EXACT_QUOTE_IN_V3 = u64_at(data, 0)?
            {
                break u64_at(data, 8)?;
            }
        };
        let account = |place: usize| key(*accounts.get(place)?);
        Some(Self {
            mint: account(0)?,
            bonding_curve: account(2)?,
            associated_bonding_curve: account(3)?,
            token_program,
            dev_buy,
        })
    }

    /// Whether the order takes it.
    #[must_use]
    pub fn fits(&self, order: &Order) -> bool {
        (order.dev_buy_min..=order.dev_buy_max).contains(&self.dev_buy)
    }

    /// Tokens for the order's lamports after the launcher's buy: constant product, fees left out.
    #[must_use]
    pub fn tokens(&self, order: &Order) -> u64 {
        let quote = u128::from(fresh::VIRTUAL_QUOTE) + u128::from(self.dev_buy);
        let product = u128::from(fresh::VIRTUAL_QUOTE) * u128::from(fresh::VIRTUAL_TOKEN);
        let tokens = product / quote - product / (quote + u128::from(order.spend));
        (tokens * u128::from(10_000 - order.slippage_bps) / 10_000) as u64
    }
}

/// The coin of the first trade among Pump's instructions of one transaction: accounts (indexes) and data each.
pub fn traded<'a>(
    key: impl Fn(u8) -> Option<[u8; 32]>,
    instructions: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<[u8; 32]> {
    for (accounts, data) in instructions {
        let place = match u64_at(data, 0)? {
            discriminator::BUY | discriminator::BUY_EXACT_SOL_IN | discriminator::SELL => 2,
            discriminator::BUY_V2
            | discriminator::BUY_EXACT_QUOTE_IN_V2
            | discriminator::SELL_V2
            | discriminator::BUY_V3
            | discriminator::BUY_EXACT_QUOTE_IN_V3
            | discriminator::SELL_V3 => 1,
            _ => continue,
        };
        return key(*accounts.get(place)?);
    }
    None
}

/// `create_v2` of neither a mayhem nor a cashback coin: the flags after three strings and the creator.
fn is_ordinary(data: &[u8]) -> Option<()> {
    let mut at = 8;
    for _ in 0..3 {
        at += 4 + u32::from_le_bytes(*data.get(at..)?.first_chunk()?) as usize;
    }
    let flags = data.get(at + 32..)?;
    (flags.iter().take(2).all(|flag| *flag == 0)).then_some(())
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

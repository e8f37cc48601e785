//! What a node would tell of this market's accounts: their bytes in the programs' own layouts.
//!
//! Told are the curves, each whenever a transaction has changed it, a coin's mint once, and at the start Pump's `Global`,
//! its `FeeConfig` and the lookup tables. Trades inside a router's call change curves like any others: whoever follows
//! shreds alone misses them, and finds out here.
//!
//! Source of the layouts: package `pump-rust-client` 0.5.0, `idls/pump.json` (`BondingCurve`, `Global`, `FeeConfig`;
//! borsh, fields in order, 8 bytes of discriminator first); spl-token `state.rs` (`Mint`, 82 bytes, which a Token-2022
//! mint without extensions is as well); solana-address-lookup-table-interface `state.rs` (56 bytes, then addresses).

use crate::curve::{
    Curve, FeeTier, INITIAL_REAL_TOKENS, INITIAL_VIRTUAL_LAMPORTS, INITIAL_VIRTUAL_TOKENS,
    TOKEN_SUPPLY,
};
use crate::keys::{
    ADDRESS_LOOKUP_TABLE, Key, PUMP, PUMP_BUYBACK_RECIPIENTS, PUMP_FEE_CONFIG, PUMP_FEE_RECIPIENTS,
    PUMP_FEES, PUMP_GLOBAL, WRAPPED_SOL,
};

/// Decimals of every coin.
const COIN_DECIMALS: u8 = 6;
/// Part of the protocol fee that goes to a buyback recipient. Nothing of this market depends on it.
const BUYBACK_BPS: u64 = 5_000;
/// Highest creator fee that a coin of this market may choose.
const CREATOR_FEE_BPS_MAX: u64 = 100;

/// One account as a transaction left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountWrite {
    /// Its address.
    pub key: Key,
    /// The program that owns it.
    pub owner: Key,
    /// Slot of the block.
    pub slot: u64,
    /// Counts every write of the market.
    pub write_version: u64,
    /// The same for all accounts that one transaction, or one bundle, has written.
    pub batch: u64,
    /// What it holds.
    pub data: Vec<u8>,
}

/// Writes that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Written {
    accounts: Vec<AccountWrite>,
    write_version: u64,
    batch: u64,
}

impl Written {
    /// What is pushed next was written by another transaction.
    pub(crate) fn next_batch(&mut self) {
        self.batch += 1;
    }

    pub(crate) fn push(&mut self, key: Key, owner: Key, data: Vec<u8>) {
        self.write_version += 1;
        self.accounts.push(AccountWrite {
            key,
            owner,
            slot: 0,
            write_version: self.write_version,
            batch: self.batch,
            data,
        });
    }

    /// A curve; of a coin that has just been launched its mint first.
    pub(crate) fn push_curve(&mut self, key: Key, curve: &Curve, is_new: bool) {
        if is_new {
            self.push(curve.coin.mint, curve.coin.token_program, mint());
        }
        self.push(key, PUMP, bonding_curve(curve));
    }

    /// Everything so far, of the block of `slot`.
    pub(crate) fn take(&mut self, slot: u64) -> Vec<AccountWrite> {
        for account in &mut self.accounts {
            account.slot = slot;
        }
        std::mem::take(&mut self.accounts)
    }

    /// What was there before the first block.
    pub(crate) fn push_first<'a>(
        &mut self,
        tier: FeeTier,
        tables: impl Iterator<Item = (&'a Key, &'a Vec<Key>)>,
    ) {
        self.push(PUMP_GLOBAL, PUMP, global(tier));
        self.push(PUMP_FEE_CONFIG, PUMP_FEES, fee_config(tier));
        for (key, addresses) in tables {
            self.push(*key, ADDRESS_LOOKUP_TABLE, lookup_table(addresses));
        }
    }
}

/// Bytes written one after the other.
struct Bytes(Vec<u8>);

impl Bytes {
    fn of(discriminator: [u8; 8]) -> Self {
        Self(discriminator.to_vec())
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn flag(self, value: bool) -> Self {
        self.put(&[u8::from(value)])
    }

    fn number(self, value: u64) -> Self {
        self.put(&value.to_le_bytes())
    }

    fn keys(self, keys: &[Key]) -> Self {
        keys.iter().fold(self, |bytes, key| bytes.put(key))
    }
}

/// `BondingCurve`. The fees that v3 trades left on the curve stand in its protocol bucket: the model does not tell the
/// buckets apart.
pub(crate) fn bonding_curve(curve: &Curve) -> Vec<u8> {
    let coin = &curve.coin;
    Bytes::of([23, 183, 248, 55, 96, 216, 172, 96])
        .number(curve.virtual_tokens)
        .number(curve.virtual_lamports)
        .number(curve.real_tokens)
        .number(curve.real_lamports)
        .number(TOKEN_SUPPLY)
        .flag(curve.complete)
        .put(&coin.creator)
        .flag(coin.mayhem)
        .flag(coin.cashback)
        .put(&WRAPPED_SOL)
        .number(coin.creator_fee_bps)
        .flag(false) // can_edit_creator_fee
        .flag(false) // is_holder_reward
        .number(0) // creator_fee
        .number(curve.unswept_fee_lamports)
        .put(&[0]) // depth
        .number(INITIAL_VIRTUAL_LAMPORTS)
        .number(0) // post_complete_base_out
        .number(0) // post_complete_quote_in
        .0
}

/// `Global`.
fn global(tier: FeeTier) -> Vec<u8> {
    let nobody = [0; 32];
    let [fee_recipient, fee_recipients @ ..] = &PUMP_FEE_RECIPIENTS;
    Bytes::of([167, 232, 232, 177, 200, 108, 114, 127])
        .flag(true) // initialized
        .put(&nobody) // authority
        .put(fee_recipient)
        .number(INITIAL_VIRTUAL_TOKENS)
        .number(INITIAL_VIRTUAL_LAMPORTS)
        .number(INITIAL_REAL_TOKENS)
        .number(TOKEN_SUPPLY)
        .number(tier.protocol_bps)
        .put(&nobody) // withdraw_authority
        .flag(false) // enable_migrate: curves of this market do not
        .number(0) // pool_migration_fee
        .number(tier.creator_bps)
        .keys(fee_recipients)
        .put(&nobody) // set_creator_authority
        .put(&nobody) // admin_set_creator_authority
        .flag(true) // create_v2_enabled
        .put(&nobody) // whitelist_pda
        .put(fee_recipient) // reserved_fee_recipient: mayhem coins pay the same
        .flag(true) // mayhem_mode_enabled
        .keys(fee_recipients) // reserved_fee_recipients
        .flag(true) // is_cashback_enabled
        .keys(&PUMP_BUYBACK_RECIPIENTS)
        .number(BUYBACK_BPS)
        .number(INITIAL_VIRTUAL_LAMPORTS)
        .put(&nobody) // whitelisted_quote_mints
        .flag(true) // creator_fee_configurable
        .number(CREATOR_FEE_BPS_MAX)
        .put(&nobody) // holder_reward_claim_authority
        .flag(false) // is_holder_reward_enabled
        .put(&[0]) // max_curve_depth
        .0
}

/// `FeeConfig`: one tier from a market cap of 0, and no rates for pools, which this market has not.
fn fee_config(tier: FeeTier) -> Vec<u8> {
    Bytes::of([143, 52, 146, 187, 219, 123, 76, 155])
        .put(&[255]) // bump
        .put(&[0; 32]) // admin
        .number(0) // flat_fees: liquidity, protocol, creator
        .number(0)
        .number(0)
        .put(&1_u32.to_le_bytes()) // fee_tiers
        .put(&0_u128.to_le_bytes())
        .number(0)
        .number(tier.protocol_bps)
        .number(tier.creator_bps)
        .put(&0_u32.to_le_bytes()) // stable_fee_tiers
        .number(0) // exotic_flat_fees
        .number(0)
        .number(0)
        .0
}

/// `Mint`: the whole supply is out, and nobody may mint or freeze.
fn mint() -> Vec<u8> {
    let none = [0; 36];
    Bytes(Vec::new())
        .put(&none) // mint_authority
        .number(TOKEN_SUPPLY)
        .put(&[COIN_DECIMALS])
        .flag(true) // is_initialized
        .put(&none) // freeze_authority
        .0
}

/// `ProgramState::LookupTable`, never deactivated, extended last in slot 0.
fn lookup_table(addresses: &[Key]) -> Vec<u8> {
    let meta = Bytes(1_u32.to_le_bytes().to_vec())
        .number(u64::MAX) // deactivation_slot
        .number(0) // last_extended_slot
        .put(&[0]) // last_extended_slot_start_index
        .put(&[0]) // authority: none
        .put(&[0; 34]); // what an authority would take, and padding
    meta.keys(addresses).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::TOKEN_2022;
    use crate::pump::Coin;

    /// Lengths as the layouts' fields add up to them.
    #[test]
    fn accounts_have_the_lengths_of_their_layouts() {
        let coin = Coin::new([1; 32], TOKEN_2022, [2; 32], false, false, 7);
        let tier = FeeTier::default();
        assert_eq!(bonding_curve(&Curve::new(coin)).len(), 166);
        assert_eq!(global(tier).len(), 1_088);
        assert_eq!(fee_config(tier).len(), 8 + 33 + 24 + 4 + 40 + 4 + 24);
        assert_eq!(mint().len(), 82);
        assert_eq!(lookup_table(&[[1; 32], [2; 32]]).len(), 56 + 64);
    }
}

//! The accounts of one Pump curve, as far as the stream has shown them.

use crate::units::{Key, Mint};

/// What a Pump v2 or v3 instruction needs to know about a coin, as carried by the transactions seen.
///
/// A field is `None` when no transaction has shown it in its static keys; it is never derived here. The
/// four keys without `Option` are always known: a curve whose launch hid one of them is not tradable.
///
/// The default is all zero and belongs to no coin.
///
/// Source: account lists of `buy_v3` (17) and `buy_v2` (27), pump-rust-client 0.5.0 `idls/pump.json`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PumpAccounts {
    /// The coin.
    pub mint: Mint,
    /// PDA `["bonding-curve", mint]` of the Pump program.
    pub bonding_curve: Key,
    /// The curve's token account for `mint`.
    pub associated_bonding_curve: Key,
    /// Owner of the mint: Token-2022 after `create_v2`, SPL Token after `create`.
    pub token_program: Key,
    /// What the coin is priced in; wrapped SOL for every tradable curve of this slice.
    pub quote_mint: Key,
    /// The `creator` argument of the launch. Fee sharing may delegate it: not proof of the canonical creator.
    pub creator: Key,
    /// The curve's token account for `quote_mint` (v2 index 12, v3 index 7).
    pub associated_quote_bonding_curve: Option<Key>,
    /// PDA `["creator-vault", canonical creator]` (v1 buy index 9, v1 sell index 8, v2 index 16).
    pub creator_vault: Option<Key>,
    /// The vault's token account for `quote_mint` (v2 index 17).
    pub associated_creator_vault: Option<Key>,
    /// PDA `["sharing-config", mint]` of the fee program (v2 index 18).
    pub sharing_config: Option<Key>,
    /// A protocol fee recipient another trader used (v1 index 1, v2 index 6).
    pub fee_recipient: Option<Key>,
    /// A buyback fee recipient another trader used (v1 last account, v2 index 8, v3 index 13).
    pub buyback_fee_recipient: Option<Key>,
}

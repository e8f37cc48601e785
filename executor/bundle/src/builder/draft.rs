//! Transactions with their amounts left open, for the thread that signs ahead.

use std::sync::Arc;

use market::{Key, Lamports, PumpAccounts, Side, TokenAmount, VenueAccounts};
use strategy::{Intent, LaneClass, Venue};

use super::templates::TemplateSet;
use super::{BuildReject, LaneTerms, fill_amounts, fill_place};
use crate::blockhash::RecentBlockhash;
use crate::ladder::{RungLayout, RungTrade};
use crate::signing::TemplateIndex;
use crate::template::{KeyField, Patch, ValueField};

/// One intent's transaction without amounts, tip, blockhash and signature. Made by
/// [`Builder::draft`](super::Builder::draft); plain data that may travel to another thread and holds no key.
///
/// Its accounts and the turn of its tip account and recipients are the intent's; a floor under the wallet is the one
/// in force when it was made.
#[derive(Clone)]
pub struct Draft {
    pub(super) templates: Arc<TemplateSet>,
    pub(super) index: TemplateIndex,
    pub(super) lane: LaneClass,
    pub(super) lane_terms: LaneTerms,
    pub(super) slot_guard_slots: u64,
    pub(super) patch: Patch,
}

impl Draft {
    /// Where things stand in every transaction rendered from it.
    #[must_use]
    pub fn layout(&self) -> RungLayout {
        let Some(template) = self.templates.get(self.index) else {
            return RungLayout::default();
        };
        let at = |field| template.value_at(field).unwrap_or_default();
        RungLayout {
            len: template.len(),
            message: template.message(),
            signature_at: template.signature_range().start,
            trade: Some(RungTrade {
                template: self.index,
                mint: self.patch.key(KeyField::BaseMint),
                wallet_floor: self.patch.value(ValueField::WalletFloor),
                tokens_at: at(ValueField::Tokens),
                quote_limit_at: at(ValueField::QuoteLimit),
            }),
        }
    }

    /// Writes the unsigned transaction of these terms into `out`, exactly [`RungLayout::len`] bytes. `quote_limit` is
    /// the most a buy may cost or the least a sell must bring. A slot guard counts from the blockhash's slot, since
    /// the trigger's is not known yet.
    ///
    /// # Errors
    /// [`BuildReject::ZeroAmount`], [`BuildReject::AliasedAccount`], or the lane's refusal of the tip.
    ///
    /// # Panics
    /// When `out` is of another length.
    pub fn render(
        &self,
        tokens: TokenAmount,
        quote_limit: Lamports,
        tip: Lamports,
        blockhash: &RecentBlockhash,
        out: &mut [u8],
    ) -> Result<(), BuildReject> {
        if tokens.0 == 0 || quote_limit.0 == 0 {
            return Err(BuildReject::ZeroAmount);
        }
        let template = self
            .templates
            .get(self.index)
            .ok_or(BuildReject::UnknownTokenProgram)?;
        let mut patch = self.patch;
        fill_amounts(tokens, quote_limit, &mut patch);
        let place = self.lane_terms.first_place(self.lane, tip)?;
        fill_place(template, place, &mut patch);
        let slot_max = blockhash.slot.0.saturating_add(self.slot_guard_slots);
        patch.set_value(ValueField::SlotMax, slot_max);
        Ok(template.render(&patch, &blockhash.hash, out)?)
    }
}

/// Which accounts of a coin and its venue a draft names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DraftNames {
    venue: Venue,
    side: Side,
    /// What it was drafted from.
    accounts: VenueAccounts,
    /// What it names where the accounts left it open.
    quote_vault: Key,
    creator_vault: Key,
    sharing_config: Key,
}

impl DraftNames {
    /// Of a draft of `intent`; `None` of one that could not be made.
    #[must_use]
    pub fn of(intent: &Intent, draft: Option<&Draft>) -> Self {
        let key = |field| draft.map_or([0; 32], |draft| draft.patch.key(field));
        Self {
            venue: intent.venue,
            side: intent.side,
            accounts: intent.accounts,
            quote_vault: key(KeyField::QuoteVault),
            creator_vault: key(KeyField::CreatorVault),
            sharing_config: key(KeyField::SharingConfig),
        }
    }

    /// Whether a transaction for `intent` would name the same: then the draft serves it, as far as accounts go.
    #[must_use]
    pub fn serve(&self, intent: &Intent) -> bool {
        if (self.venue, self.side) != (intent.venue, intent.side) {
            return false;
        }
        let (VenueAccounts::Pump(made), VenueAccounts::Pump(now)) =
            (&self.accounts, &intent.accounts)
        else {
            return self.accounts == intent.accounts;
        };
        // As `CoinTable::fill` takes them: a sale derives what a buy takes as it was shown.
        let is_carried = self.side == Side::Buy;
        let coin = |of: &PumpAccounts| (of.mint, of.token_program, of.quote_mint);
        let curve = |of: &PumpAccounts| (of.bonding_curve, of.associated_bonding_curve);
        // What was shown since may be what was derived.
        let shown = |of: fn(&PumpAccounts) -> Option<Key>, named: Key| {
            of(made) == of(now) || of(now) == Some(named)
        };
        let vault = made.creator == now.creator && made.creator_vault == now.creator_vault
            || now.creator_vault == Some(self.creator_vault);
        let is_of_v2 = self.venue == Venue::PumpV2;
        coin(made) == coin(now)
            && (!is_carried || curve(made) == curve(now))
            && (!is_carried || shown(|of| of.associated_quote_bonding_curve, self.quote_vault))
            && (!is_of_v2 || vault)
            && (!is_of_v2 || !is_carried || shown(|of| of.sharing_config, self.sharing_config))
    }
}

impl core::fmt::Debug for Draft {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Draft")
            .field("template", &self.index)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

//! Transactions with their amounts left open, for the thread that signs ahead.

use std::sync::Arc;

use market::{Lamports, TokenAmount};
use strategy::LaneClass;

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

impl core::fmt::Debug for Draft {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Draft")
            .field("template", &self.index)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

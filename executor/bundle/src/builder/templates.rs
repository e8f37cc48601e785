//! Every transaction a builder can make, compiled once.

use market::{Key, Side};
use strategy::Venue;

use super::{BuilderConfig, BuilderError};
use crate::address::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use crate::signing::TemplateIndex;
use crate::template::{CompileError, InstructionSpec, Template, lookup_candidates};
use crate::trader::Trader;
use crate::transaction::{self, Form, Parts};

/// The token program of a coin's mint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenProgram {
    Token,
    Token2022,
}

impl TokenProgram {
    const ALL: [Self; Self::COUNT] = [Self::Token, Self::Token2022];
    const COUNT: usize = 2;

    pub(super) fn of(key: &Key) -> Option<Self> {
        match *key {
            TOKEN_2022_PROGRAM => Some(Self::Token2022),
            TOKEN_PROGRAM => Some(Self::Token),
            _ => None,
        }
    }

    const fn id(self) -> &'static Key {
        match self {
            Self::Token => &TOKEN_PROGRAM,
            Self::Token2022 => &TOKEN_2022_PROGRAM,
        }
    }
}

const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

/// How many templates there can be. An index fits a byte.
const TEMPLATE_COUNT: usize = Venue::COUNT * SIDES.len() * TokenProgram::COUNT * Form::COUNT;
const _: () = assert!(TEMPLATE_COUNT <= 1 << u8::BITS);

/// A trade there may be a template for.
type Kind = (Venue, Side, TokenProgram, Form);

/// All of them, in the order of [`index`].
fn kinds() -> impl Iterator<Item = Kind> {
    Venue::ALL.into_iter().flat_map(|venue| {
        SIDES.into_iter().flat_map(move |side| {
            TokenProgram::ALL.into_iter().flat_map(move |program| {
                Form::ALL
                    .into_iter()
                    .map(move |form| (venue, side, program, form))
            })
        })
    })
}

/// One template for each venue, side, token program and form; none where there is no such trade.
pub(super) struct TemplateSet {
    templates: Box<[Option<Template>]>,
}

impl TemplateSet {
    /// Compiles all of them. Forms that ask to be first are left out unless the configuration wants them.
    pub(super) fn compile(config: &BuilderConfig, trader: &Trader) -> Result<Self, BuilderError> {
        let templates = kinds().map(|kind| compile(config, trader, kind));
        Ok(Self {
            templates: templates.collect::<Result<_, _>>()?,
        })
    }

    /// The index of a trade's template, if there is such a trade.
    #[inline]
    pub(super) fn index_of(
        &self,
        venue: Venue,
        side: Side,
        token_program: TokenProgram,
        form: Form,
    ) -> Option<TemplateIndex> {
        // Fits: there are at most 256.
        let index = TemplateIndex(index(venue, side, token_program, form) as u8);
        self.get(index).map(|_| index)
    }

    #[inline]
    pub(super) fn get(&self, index: TemplateIndex) -> Option<&Template> {
        self.templates.get(usize::from(index.0))?.as_ref()
    }

    /// All of them, by index.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&Template>> {
        self.templates.iter().map(Option::as_ref)
    }

    /// Whether `key` is the same in every transaction of some template.
    pub(super) fn name_fixed_key(&self, key: &Key) -> bool {
        let mut all = self.iter().flatten();
        all.any(|template| template.names_fixed_key(key))
    }
}

const fn index(venue: Venue, side: Side, token_program: TokenProgram, form: Form) -> usize {
    let trade = (venue as usize * SIDES.len() + side as usize) * TokenProgram::COUNT;
    (trade + token_program as usize) * Form::COUNT + form as usize
}

/// Every key that some template could name through a lookup table, with the number of templates that could.
pub(super) fn lookup_keys(
    config: &BuilderConfig,
    trader: &Trader,
) -> Result<Vec<(Key, usize)>, BuilderError> {
    let mut found: Vec<(Key, usize)> = Vec::new();
    for kind in kinds() {
        let Some(instructions) = instructions(config, trader, kind) else {
            continue;
        };
        let keys = lookup_candidates(&trader.user, &instructions);
        for key in keys.map_err(|source| error(kind, source))? {
            match found.iter_mut().find(|(known, _)| *known == key) {
                Some((_, count)) => *count += 1,
                None => found.push((key, 1)),
            }
        }
    }
    Ok(found)
}

/// The instructions of one trade; `None` when there is no such trade, or nobody wants it.
fn instructions(
    config: &BuilderConfig,
    trader: &Trader,
    (venue, side, token_program, form): Kind,
) -> Option<Vec<InstructionSpec>> {
    if form.is_front() && !config.dont_front {
        return None;
    }
    let parts = Parts {
        wrapped_sol: config.wrapped_sol,
        close_coin_account: config.close_coin_account,
        slot_guard: config.slot_guard_slots.is_some(),
        wallet_floor: config.wallet_floor.is_some(),
    };
    transaction::instructions(venue, side, token_program.id(), form, &parts, trader)
}

fn compile(
    config: &BuilderConfig,
    trader: &Trader,
    kind: Kind,
) -> Result<Option<Template>, BuilderError> {
    let Some(instructions) = instructions(config, trader, kind) else {
        return Ok(None);
    };
    let (venue, side, _, form) = kind;
    let mut budget = match side {
        Side::Buy => config.entry_budget,
        Side::Sell => config.exit_budget,
    };
    if let Some(units) = config.unit_limits.of(venue, side) {
        budget = budget.for_units(units);
    }
    let (version, price, lookup) = (config.version, form.price(), config.lookup_table.as_ref());
    Template::compile_with(version, &trader.user, &budget, price, lookup, &instructions)
        .map(Some)
        .map_err(|source| error(kind, source))
}

const fn error((venue, side, ..): Kind, source: CompileError) -> BuilderError {
    BuilderError::Template {
        venue,
        side,
        source,
    }
}

//! The decision table: for every context and every kind of message, the rule that decides.
//!
//! A context is a fragment, a destination, a zone set and an interface. Pairs of type and code that
//! no rule tells apart share a row; a dimension that no rule uses has one place.

use super::Rule;
use super::compile::CompileError;
use super::precedence::Rank;
use icmp_common::abi::{DECISIONS, RULE_NONE, destination, family, fragment, origin};
use std::collections::HashMap;

/// What tells contexts apart.
#[derive(Clone, Debug)]
pub(super) struct Dimensions {
    /// How many fragments are told apart: 1 or all.
    pub fragments: usize,
    /// Likewise for destinations, or for origins where the hook is of what is sent.
    pub places: usize,
    /// By number of a zone set, its chain.
    pub chains: Vec<Vec<usize>>,
    /// The interfaces that rules name and that are there; before them the rest, as `None`.
    pub interfaces: Vec<Option<String>>,
}

impl Dimensions {
    /// How many contexts there are.
    pub fn contexts(&self) -> usize {
        self.fragments * self.places * self.chains.len() * self.interfaces.len()
    }

    /// That the table would be too large, said by its dimensions.
    fn too_large(&self, rows: usize) -> CompileError {
        let sizes = [
            (self.fragments, "kinds of fragment"),
            (self.places, "destinations or origins"),
            (self.chains.len(), "zone sets (fewer zones that overlap would do)"),
            (self.interfaces.len(), "interfaces (fewer rules that name one would do)"),
            (rows, "rows (fewer rules that tell types and codes apart would do)"),
        ];
        let (largest, what) = sizes.into_iter().max_by_key(|(size, _)| *size).unwrap_or_default();
        CompileError::Decisions {
            fragments: self.fragments,
            destinations: self.places,
            zone_sets: self.chains.len(),
            interfaces: self.interfaces.len(),
            rows,
            most: DECISIONS,
            largest,
            what,
        }
    }
}

/// A rule, made ready to be asked often.
#[derive(Debug)]
struct Candidate<'r> {
    number: u16,
    rule: &'r Rule,
}

/// The rows as they are found.
#[derive(Debug)]
pub(super) struct Decider<'r> {
    dimensions: Dimensions,
    /// By precedence, zone aside.
    candidates: Vec<Candidate<'r>>,
    /// By row, the rule of each context.
    rows: Vec<Vec<u16>>,
    by_candidates: HashMap<Vec<u16>, u16>,
    by_decisions: HashMap<Vec<u16>, u16>,
}

impl<'r> Decider<'r> {
    /// For these rules, whose numbers are their positions.
    pub fn new(rules: &[&'r Rule], dimensions: Dimensions) -> Result<Self, CompileError> {
        if dimensions.contexts() > DECISIONS {
            return Err(dimensions.too_large(1));
        }
        let mut candidates: Vec<Candidate<'r>> =
            rules.iter().zip(0..).map(|(rule, number)| Candidate { number, rule }).collect();
        candidates.sort_by_key(|c| Rank::of(c.rule));
        Ok(Self {
            dimensions,
            candidates,
            rows: Vec::new(),
            by_candidates: HashMap::new(),
            by_decisions: HashMap::new(),
        })
    }

    /// The row of what has no readable type and code.
    pub fn headerless(&mut self, family: u8) -> Result<u16, CompileError> {
        let matching = self.matching(|c| c.rule.pattern.matches_message(family, None));
        self.row(matching)
    }

    /// The row of each code of a type.
    pub fn codes(&mut self, family: u8, ty: u8) -> Result<[u16; 256], CompileError> {
        let of_type = self.matching(|c| {
            let pattern = &c.rule.pattern;
            pattern.family.is_none_or(|f| f == family)
                && pattern.types.as_ref().is_none_or(|t| t.contains(ty))
        });
        // Most types have no rule that looks at the code.
        if of_type.iter().all(|i| self.candidates[usize::from(*i)].rule.pattern.codes.is_none()) {
            return Ok([self.row(of_type)?; 256]);
        }
        let mut rows = [0; 256];
        for (row, code) in rows.iter_mut().zip(0..=u8::MAX) {
            let of_code = of_type
                .iter()
                .copied()
                .filter(|i| {
                    let rule = self.candidates[usize::from(*i)].rule;
                    rule.pattern.matches_message(family, Some((ty, code)))
                })
                .collect();
            *row = self.row(of_code)?;
        }
        Ok(rows)
    }

    /// Indices of candidates.
    fn matching(&self, matches: impl Fn(&Candidate<'r>) -> bool) -> Vec<u16> {
        self.candidates.iter().zip(0..).filter(|(c, _)| matches(c)).map(|(_, i)| i).collect()
    }

    /// The row of what these candidates, and no others, can match.
    fn row(&mut self, matching: Vec<u16>) -> Result<u16, CompileError> {
        if let Some(row) = self.by_candidates.get(&matching) {
            return Ok(*row);
        }
        let mut decisions = Vec::with_capacity(self.dimensions.contexts());
        for fragment in 0..self.dimensions.fragments {
            for place in 0..self.dimensions.places {
                for chain in &self.dimensions.chains {
                    for interface in &self.dimensions.interfaces {
                        let context = Context {
                            fragment: fragment as u8,
                            place: place as u8,
                            chain,
                            interface: interface.as_deref(),
                        };
                        decisions.push(self.decide(&matching, &context));
                    }
                }
            }
        }
        let row = match self.by_decisions.get(&decisions) {
            Some(row) => *row,
            None => {
                if (self.rows.len() + 1) * self.dimensions.contexts() > DECISIONS {
                    return Err(self.dimensions.too_large(self.rows.len() + 1));
                }
                let row = self.rows.len() as u16;
                self.rows.push(decisions.clone());
                self.by_decisions.insert(decisions, row);
                row
            }
        };
        self.by_candidates.insert(matching, row);
        Ok(row)
    }

    /// The rule that decides in a context: of the same layer, the one whose zone comes first, and
    /// of those the first by rank.
    fn decide(&self, matching: &[u16], context: &Context<'_>) -> u16 {
        matching
            .iter()
            .map(|i| &self.candidates[usize::from(*i)])
            .filter_map(|c| Some(((c.rule.layer, context.zone_place(c.rule)?), c.number)))
            .min_by_key(|(place, _)| *place)
            .map_or(RULE_NONE, |(_, number)| number)
    }

    /// The rule of each context in a row, as the position that it was given at.
    pub fn decisions(&self, row: u16) -> &[u16] {
        self.rows.get(usize::from(row)).map_or(&[], Vec::as_slice)
    }

    /// How large the table is: contexts and rows.
    pub fn dimensions(&self) -> (&Dimensions, usize) {
        (&self.dimensions, self.rows.len())
    }

    /// Writes the table, rows innermost.
    pub fn write(&self, decisions: &mut [u16; DECISIONS]) {
        let rows = self.rows.len();
        for (row, of_row) in self.rows.iter().enumerate() {
            for (context, decision) in of_row.iter().enumerate() {
                decisions[context * rows + row] = *decision;
            }
        }
    }
}

impl Decider<'_> {
    /// The places of the table, as [`Decider::write`] writes it, of the contexts whose zones are so.
    pub fn places(&self, is: impl Fn(&[usize]) -> bool) -> impl Iterator<Item = usize> {
        let (rows, interfaces) = (self.rows.len(), self.dimensions.interfaces.len());
        (0..self.dimensions.contexts())
            .filter(move |context| {
                let chains = &self.dimensions.chains;
                is(&chains[context / interfaces % chains.len()])
            })
            .flat_map(move |context| context * rows..(context + 1) * rows)
    }
}

/// What a packet is, beside its message.
#[derive(Debug)]
struct Context<'c> {
    fragment: u8,
    /// A destination, or of what is sent an origin.
    place: u8,
    chain: &'c [usize],
    interface: Option<&'c str>,
}

impl Context<'_> {
    /// How far back in the chain the rule's zone stands, or `None` where the rule doesn't match.
    fn zone_place(&self, rule: &Rule) -> Option<usize> {
        let pattern = &rule.pattern;
        let matches = pattern.fragment.is_none_or(|f| f == self.fragment)
            && pattern.destination.or(pattern.origin).is_none_or(|d| d == self.place)
            && pattern.interface.as_deref().is_none_or(|i| Some(i) == self.interface);
        if !matches {
            return None;
        }
        match pattern.zone {
            None => Some(self.chain.len()),
            Some(zone) => self.chain.iter().position(|z| *z == zone),
        }
    }
}

/// The dimensions that these rules need; the zone sets and interfaces are given.
pub(super) fn dimensions(
    rules: &[&Rule],
    chains: Vec<Vec<usize>>,
    interfaces: Vec<Option<String>>,
) -> Dimensions {
    let by_fragment = rules.iter().any(|r| r.pattern.fragment.is_some());
    const _: () = assert!(destination::COUNT == origin::COUNT, "they share a dimension");
    let by_place = rules.iter().any(|r| r.pattern.destination.or(r.pattern.origin).is_some());
    Dimensions {
        fragments: if by_fragment { fragment::COUNT } else { 1 },
        places: if by_place { destination::COUNT } else { 1 },
        chains,
        interfaces,
    }
}

/// Where the entry of a type stands among all.
pub(super) fn type_index(family: u8, ty: u8) -> usize {
    debug_assert!((1..=family::COUNT).contains(&usize::from(family)));
    (usize::from(family) - 1) * 256 + usize::from(ty)
}

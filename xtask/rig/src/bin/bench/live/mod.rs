//! What filters bear under a flood that is really sent: from a generator on one processor through a veth
//! pair to a receiver on another, where the filter is. In one run, interleaved, icmpgate and what else an
//! operator could take.
//!
//! What counts is what the filter judged, by its own counters, and not what was sent: what finds the
//! receiver's ring full is lost before any filter. The interface counts what it received, too, and both
//! must agree. Each filter has a stage of its own, so that none is loaded or removed between two floods.

mod filters;
mod generator;
mod lane;
mod report;
mod transfer;

use crate::{
    machine::{self, Pair},
    measure::Spread,
    section::Section,
};
use anyhow::{Context as _, Result};
use filters::Filter;
pub(crate) use filters::With;
use generator::Generator;
use icmpgate_rig::{apart, signal, stage};
use lane::{Lane, Sample};

/// How many sources a flood comes from: one, and as many as icmpgate has buckets by key.
const SOURCES: [u32; 2] = [1, 1 << 16];
/// The rounds where nothing else is said.
pub(crate) const ROUNDS: u32 = 5;

/// What a filter was found to bear under a flood from so many sources.
struct Flooded {
    /// The filter.
    filter: Filter,
    /// How many sources the flood came from.
    sources: u32,
    /// The figures, or why there are none.
    figures: Result<Figures, String>,
}

/// The figures of a filter, over the rounds.
struct Figures {
    /// Packets that it judged, in millions a second.
    judged: Spread,
    /// Packets that were sent to it, likewise.
    sent: Spread,
    /// What it judged, of what the floor did in the same round under as many sources.
    of_floor: Spread,
}

/// What all floods of a run came to.
struct Floods {
    /// Each filter under each number of sources, in the order of the table.
    flooded: Vec<Flooded>,
    /// What it took to bring a line of memory from the generator's cache to the receiver's, in ns.
    transfer: Spread,
}

/// Floods every filter in every round.
pub(crate) fn run(with: With<'_>, rounds: u32) -> Result<Section> {
    signal::catch()?;
    stage::clear_leftovers();
    let cpus = Pair::choose()?;
    // Others aren't to stay on that processor.
    let floods = apart::run(|| {
        machine::stay_on(cpus.generator)?;
        measure(with, rounds, cpus)
    })?;
    Ok(report::section(&floods, cpus, rounds))
}

fn measure(with: With<'_>, rounds: u32, cpus: Pair) -> Result<Floods> {
    let mut generator = Generator::new()?;
    let mut lanes: Vec<(Filter, u32, Result<Lane, String>)> = Vec::new();
    for sources in SOURCES {
        for filter in Filter::ALL.into_iter().filter(|filter| filter.takes(sources)) {
            if filter == Filter::Other && with.other.is_none() {
                continue;
            }
            signal::check()?;
            let lane = Lane::new(lanes.len(), filter, sources, with, cpus);
            // Without the floor there is nothing to compare with.
            let lane = match lane {
                Err(error) if filter == Filter::Floor => {
                    return Err(error.context(format!("{} can't be loaded", filter.name())));
                }
                lane => lane.map_err(|error| format!("{error:#}")),
            };
            lanes.push((filter, sources, lane));
        }
    }

    let mut samples: Vec<Vec<Sample>> = lanes.iter().map(|_| Vec::new()).collect();
    // The round before the first warms the caches and fills the tables of keys, and isn't kept.
    let mut transfers = Vec::new();
    for round in 0..=rounds {
        let mut turns: Vec<usize> = (0..lanes.len()).collect();
        // Whoever comes later finds another machine, so the turns are reversed.
        if round % 2 == 1 {
            turns.reverse();
        }
        for i in turns {
            signal::check()?;
            transfers.push(transfer::measure(cpus.generator, cpus.receiver)?);
            let (filter, sources, Ok(lane)) = &mut lanes[i] else { continue };
            let sample = lane
                .flood(&mut generator)
                .with_context(|| format!("{}, {sources} sources, round {round}", filter.name()))?;
            if round > 0 {
                samples[i].push(sample);
            }
        }
    }

    let floor = |sources: u32| {
        let at = lanes.iter().position(|(f, s, _)| (*f, *s) == (Filter::Floor, sources));
        at.map(|i| &samples[i]).context("the floor is a lane")
    };
    let mut flooded = Vec::new();
    for ((filter, sources, lane), own) in lanes.iter().zip(&samples) {
        let pairs = own.iter().zip(floor(*sources)?);
        let figures = || Figures {
            judged: Spread::of(own.iter().map(|s| s.judged)),
            sent: Spread::of(own.iter().map(|s| s.sent)),
            of_floor: Spread::of(pairs.map(|(own, floor)| own.judged / floor.judged)),
        };
        let figures = lane.as_ref().map(|_| figures()).map_err(Clone::clone);
        flooded.push(Flooded { filter: *filter, sources: *sources, figures });
    }
    Ok(Floods { flooded, transfer: Spread::of(transfers) })
}

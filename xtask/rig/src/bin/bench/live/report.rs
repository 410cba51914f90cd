//! What the floods came to: the table, the bars, the JSON.

use super::{Figures, Flooded, Floods, SOURCES, filters::Filter, lane};
use crate::{
    machine::Pair,
    section::{Held, Section, json},
};
use icmpgate_rig::text::{Align, Table, thousands};
use serde_json::json;

/// What icmpgate's limit by source must bear, of what the floor does, by the number of sources.
const OF_FLOOR: [(u32, f64); 2] = [(SOURCES[0], 0.9), (SOURCES[1], 0.75)];

/// What the floods came to.
pub(super) fn section(floods: &Floods, cpus: Pair, rounds: u32) -> Section {
    use Align::{Left, Right};
    let Floods { flooded, transfer } = floods;
    let mut table = Table::new(&[
        ("filter", Left),
        ("sources", Right),
        ("Mpps", Right),
        ("min", Right),
        ("max", Right),
        ("of XDP_DROP", Right),
        ("min", Right),
        ("max", Right),
        ("sent", Right),
        ("", Left),
    ]);
    let mut all = Vec::new();
    for Flooded { filter, sources, figures } in flooded {
        let mut row = vec![filter.name().to_owned(), thousands((*sources).into())];
        let mut entry = json!({ "filter": filter.name(), "sources": sources });
        match figures {
            Ok(Figures { judged, sent, of_floor }) => {
                row.extend([judged.median, judged.min, judged.max].map(shown));
                row.extend([of_floor.median, of_floor.min, of_floor.max].map(shown));
                row.push(shown(sent.median));
                entry["mpps"] = json(*judged);
                entry["of_xdp_drop"] = json(*of_floor);
                entry["sent_mpps"] = json(*sent);
            }
            Err(why) => {
                row.resize(9, String::new());
                row.push(format!("can't be loaded: {why}"));
                entry["error"] = why.clone().into();
            }
        }
        table.row(row);
        all.push(entry);
    }
    let Pair { generator, receiver } = cpus;
    Section {
        name: "live",
        title: "Under a flood".to_owned(),
        text: format!(
            "Echo requests of 64 octets through a veth pair, next to all of them beyond the limit: sent on \
             CPU {generator}, received on CPU {receiver}, {rounds} rounds of about {} s each. Mpps is what the \
             filter judged, and sent what was sent to it, in millions a second. A line of memory took {:.0} ns \
             from the one processor's cache to the other's ({:.0} to {:.0}).",
            lane::TIME.as_secs(),
            transfer.median,
            transfer.min,
            transfer.max
        ),
        table,
        bars: bars(flooded),
        plot: None,
        figures: json!({ "transfer_ns": json(*transfer), "filters": all }),
    }
}

fn shown(figure: f64) -> String {
    format!("{figure:.2}")
}

/// What the share of the floor is that a filter bears.
fn share(flooded: &[Flooded], filter: Filter, sources: u32) -> Option<f64> {
    let found = flooded.iter().find(|f| (f.filter, f.sources) == (filter, sources))?;
    Some(found.figures.as_ref().ok()?.of_floor.median)
}

fn bars(flooded: &[Flooded]) -> Vec<Held> {
    let mut bars = Vec::new();
    for (sources, least) in OF_FLOOR {
        let n = thousands(sources.into());
        let plural = if sources == 1 { "source" } else { "sources" };
        let ours = share(flooded, Filter::BySource, sources);
        bars.push(Held {
            what: format!("a limit by source bears at least {least} of XDP_DROP, {n} {plural}"),
            met: ours.map(|ours| ours >= least),
            figures: ours.map_or_else(String::new, shown),
        });
        let peers: Vec<(Filter, f64)> = Filter::ALL
            .into_iter()
            .filter(|filter| filter.is_peer())
            .filter_map(|filter| Some((filter, share(flooded, filter, sources)?)))
            .collect();
        let each: Vec<String> = peers
            .iter()
            .map(|(filter, share)| format!("{} {}", filter.name(), shown(*share)))
            .collect();
        let ours = ours.filter(|_| !peers.is_empty());
        bars.push(Held {
            what: format!("and more than any other filter does, {n} {plural}"),
            met: ours.map(|ours| peers.iter().all(|(_, share)| *share < ours)),
            figures: each.join("; "),
        });
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Spread;

    fn flooded(filter: Filter, sources: u32, of_floor: f64) -> Flooded {
        let at = |figure: f64| Spread::of([figure]);
        let figures = Figures { judged: at(8.0), sent: at(9.0), of_floor: at(of_floor) };
        Flooded { filter, sources, figures: Ok(figures) }
    }

    fn met(flooded: &[Flooded]) -> Vec<Option<bool>> {
        bars(flooded).iter().map(|held| held.met).collect()
    }

    #[test]
    fn a_bar_holds_where_the_share_is_reached_and_nobody_is_ahead() {
        let met = |ours, peer| {
            met(&[flooded(Filter::BySource, 1, ours), flooded(Filter::XdpTools, 1, peer)])
        };
        assert_eq!(met(0.9, 0.89), [Some(true), Some(true), None, None]);
        assert_eq!(met(0.89, 0.9), [Some(false), Some(false), None, None]);
    }

    #[test]
    fn a_filter_that_could_not_be_loaded_is_in_no_bar() {
        let mut peer = flooded(Filter::NftTotal, 1, 0.0);
        peer.figures = Err("no such hook".to_owned());
        assert_eq!(met(&[flooded(Filter::BySource, 1, 1.0), peer])[..2], [Some(true), None]);
    }
}

//! What the floods came to: the table, and the bars.

use super::{Figures, Flooded, Floods, SOURCES, filters::Filter};
use icmpgate_rig::text::{Align, Look, Paint, Table, thousands};

/// What icmpgate's limit by source must bear, of what the floor does, by the number of sources.
const OF_FLOOR: [(u32, f64); 2] = [(SOURCES[0], 0.9), (SOURCES[1], 0.75)];

/// Prints the table and the bars.
pub(crate) fn print(floods: &Floods) {
    let Floods { flooded, transfer } = floods;
    use Align::{Left, Right};
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
    for Flooded { filter, sources, figures } in flooded {
        let mut row = vec![filter.name().to_owned(), thousands((*sources).into())];
        match figures {
            Ok(Figures { judged, sent, of_floor }) => {
                row.extend([judged.median, judged.min, judged.max].map(shown));
                row.extend([of_floor.median, of_floor.min, of_floor.max].map(shown));
                row.push(shown(sent.median));
            }
            Err(why) => {
                row.resize(9, String::new());
                row.push(format!("can't be loaded: {why}"));
            }
        }
        table.row(row);
    }
    let paint = Paint::of_stdout();
    for line in table.lines(paint) {
        println!("{line}");
    }
    println!();
    println!(
        "a line of memory took {:.0} ns from the one processor's cache to the other's ({:.0} to {:.0})",
        transfer.median, transfer.min, transfer.max
    );
    for line in bars(flooded, paint) {
        println!("{line}");
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

fn bars(flooded: &[Flooded], paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for (sources, least) in OF_FLOOR {
        let n = thousands(sources.into());
        let plural = if sources == 1 { "source" } else { "sources" };
        let what = format!("a limit by source bears at least {least} of XDP_DROP, {n} {plural}");
        let ours = share(flooded, Filter::BySource, sources);
        lines.push(match ours {
            Some(ours) => format!("{}: {what} ({})", word(ours >= least, paint), shown(ours)),
            None => format!("not measured: {what}"),
        });
        let what = format!("and more than any other filter does, {n} {plural}");
        let peers: Vec<(Filter, f64)> = Filter::ALL
            .into_iter()
            .filter(|filter| filter.is_peer())
            .filter_map(|filter| Some((filter, share(flooded, filter, sources)?)))
            .collect();
        let each: Vec<String> = peers
            .iter()
            .map(|(filter, share)| format!("{} {}", filter.name(), shown(*share)))
            .collect();
        lines.push(match ours.filter(|_| !peers.is_empty()) {
            Some(ours) => {
                let ahead = peers.iter().all(|(_, share)| *share < ours);
                format!("{}: {what} ({})", word(ahead, paint), each.join("; "))
            }
            None => format!("not measured: {what}"),
        });
    }
    lines
}

fn word(met: bool, paint: Paint) -> String {
    if met { paint.paint(Look::Good, "met") } else { paint.paint(Look::Bad, "NOT met") }
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

    #[test]
    fn a_bar_holds_where_the_share_is_reached_and_nobody_is_ahead() {
        let lines = |ours, peer| {
            let all = [flooded(Filter::BySource, 1, ours), flooded(Filter::XdpTools, 1, peer)];
            bars(&all, Paint::none())
        };
        let held = lines(0.9, 0.89);
        assert!(held[0].starts_with("met: a limit by source bears at least 0.9"), "{}", held[0]);
        assert!(held[1].starts_with("met: and more"), "{}", held[1]);
        assert!(held[2..].iter().all(|line| line.starts_with("not measured")));
        assert!(lines(0.89, 0.9).iter().take(2).all(|line| line.starts_with("NOT met")));
    }

    #[test]
    fn a_filter_that_could_not_be_loaded_is_in_no_bar() {
        let mut peer = flooded(Filter::NftTotal, 1, 0.0);
        peer.figures = Err("no such hook".to_owned());
        let lines = bars(&[flooded(Filter::BySource, 1, 1.0), peer], Paint::none());
        assert!(lines[0].starts_with("met") && lines[1].starts_with("not measured"));
    }
}

//! What was measured: the table, the bars, the JSON.

use crate::Figures;
use icmpgate_rig::text::{Align, Look, Paint, Table};
use serde_json::{Value, json};

/// What these cases must hold to.
struct Bar {
    what: &'static str,
    cases: &'static [&'static str],
    than: Than,
}

/// What a case is held against. All figures are those above the empty program of the same round.
enum Than {
    /// At most so many ns.
    Ns(f64),
    /// At most so many ns above that case.
    Above(&'static str, f64),
    /// At most so many times that case.
    Times(&'static str, f64),
}

const BARS: [Bar; 6] = [
    Bar {
        what: "other traffic at most 8 ns above XDP_PASS",
        cases: &["tcp-syn", "udp-64"],
        than: Than::Ns(8.0),
    },
    Bar {
        what: "an echo of 98 octets, checked, limited and counted, at most 60 ns above",
        cases: &["echo-98-pass"],
        than: Than::Ns(60.0),
    },
    Bar {
        what: "a limit by source at most 25 ns above the same packet without",
        cases: &["source-limit-1"],
        than: Than::Above("echo-98-accept", 25.0),
    },
    Bar {
        what: "a packet of a million sources at most twice one of a single source",
        cases: &["source-limit-1m"],
        than: Than::Times("source-limit-front-1", 2.0),
    },
    Bar {
        what: "the same of IPv6",
        cases: &["source-limit6-1m"],
        than: Than::Times("source-limit6-front-1", 2.0),
    },
    Bar {
        what: "other traffic that is sent at most 8 ns above a classifier that goes on",
        cases: &["egress-other"],
        than: Than::Ns(8.0),
    },
];

/// Prints the table and the bars.
pub(crate) fn print(figures: &[Figures]) {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("case", Left),
        ("octets", Right),
        ("ns", Right),
        ("min", Right),
        ("max", Right),
        ("empty", Right),
        ("which", Left),
        ("above", Right),
        ("min", Right),
        ("max", Right),
    ]);
    for f in figures {
        let which = f.empty_program.trim_start_matches("icmpgate_");
        let mut row = vec![f.name.to_owned(), f.octets.to_string()];
        row.extend([f.ours.median, f.ours.min, f.ours.max, f.empty.median].map(shown));
        row.push(which.to_owned());
        row.extend([f.above.median, f.above.min, f.above.max].map(shown));
        table.row(row);
    }
    let paint = Paint::of_stdout();
    for line in table.lines(paint) {
        println!("{line}");
    }
    println!();
    for bar in BARS {
        println!("{}", verdict(&bar, figures, paint));
    }
}

fn shown(ns: f64) -> String {
    format!("{ns:.1}")
}

fn verdict(bar: &Bar, figures: &[Figures], paint: Paint) -> String {
    let find = |name: &str| figures.iter().find(|f| f.name == name);
    let held = |name: &&str| {
        let above = find(name)?.above.median;
        Some(match bar.than {
            Than::Ns(most) => (above <= most, format!("{name} {}", shown(above))),
            Than::Above(other, most) => {
                let more = above - find(other)?.above.median;
                (
                    more <= most,
                    format!("{name} {}, {} more than {other}", shown(above), shown(more)),
                )
            }
            Than::Times(other, most) => {
                let times = above / find(other)?.above.median;
                (times <= most, format!("{name} {}, {times:.2} times {other}", shown(above)))
            }
        })
    };
    let Some(held) = bar.cases.iter().map(held).collect::<Option<Vec<_>>>() else {
        return format!("not measured: {}", bar.what);
    };
    let met = held.iter().all(|(met, _)| *met);
    let each: Vec<String> = held.into_iter().map(|(_, figures)| figures).collect();
    let word = if met { paint.paint(Look::Good, "met") } else { paint.paint(Look::Bad, "NOT met") };
    format!("{word}: {} ({})", bar.what, each.join(", "))
}

/// The figures as `--json` has them.
pub(crate) fn json(figures: &[Figures]) -> Value {
    let rounded = |ns: f64| (ns * 100.0).round() / 100.0;
    let entry = |f: &Figures| {
        json!({
            "case": f.name,
            "median_ns": rounded(f.ours.median),
            "min_ns": rounded(f.ours.min),
            "max_ns": rounded(f.ours.max),
            "empty_ns": rounded(f.empty.median),
        })
    };
    figures.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Spread;

    fn figures(name: &'static str, above: f64) -> Figures {
        let at = |ns: f64| Spread::of([ns]);
        let (ours, empty, above) = (at(30.0 + above), at(30.0), at(above));
        Figures { name, octets: 64, empty_program: "icmpgate_pass", ours, empty, above }
    }

    #[test]
    fn a_bar_holds_where_every_case_of_it_does() {
        let paint = Paint::none();
        let both = |a, b| [figures("tcp-syn", a), figures("udp-64", b)];
        assert!(verdict(&BARS[0], &both(7.9, 8.0), paint).contains("met: other"));
        assert!(verdict(&BARS[0], &both(7.9, 8.1), paint).contains("NOT met"));
        assert!(verdict(&BARS[1], &both(1.0, 1.0), paint).starts_with("not measured"));
        let limits =
            |without, with| [figures("echo-98-accept", without), figures("source-limit-1", with)];
        assert!(verdict(&BARS[2], &limits(20.0, 45.0), paint).starts_with("met"));
        assert!(verdict(&BARS[2], &limits(20.0, 45.1), paint).starts_with("NOT met"));
        assert!(verdict(&BARS[2], &limits(20.0, 45.0)[1..], paint).starts_with("not measured"));
        let sources =
            |one, all| [figures("source-limit-front-1", one), figures("source-limit-1m", all)];
        assert!(verdict(&BARS[3], &sources(20.0, 40.0), paint).starts_with("met"));
        assert!(verdict(&BARS[3], &sources(20.0, 40.1), paint).starts_with("NOT met"));
    }

    #[test]
    fn the_json_has_the_agreed_keys() {
        let all = json(&[figures("tcp-syn", 3.456)]);
        let keys: Vec<&String> = all[0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["case", "empty_ns", "max_ns", "median_ns", "min_ns"]);
        assert_eq!(all[0]["median_ns"], 33.46);
    }
}

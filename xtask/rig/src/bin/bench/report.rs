//! The table of the cases, what they are held against, and their JSON.

use crate::{
    Figures,
    section::{Held, Section, shown, spread},
};
use icmpgate_rig::text::{Align, Table};
use serde_json::{Value, json};

/// What these cases must hold to.
struct Bar {
    what: &'static str,
    cases: &'static [&'static str],
    than: Than,
    /// Where it should come to in the end, where that isn't it.
    goal: Option<&'static str>,
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

const BARS: [Bar; 12] = [
    Bar {
        what: "other traffic at most 8 ns above XDP_PASS",
        cases: &["tcp-syn", "udp-64"],
        than: Than::Ns(8.0),
        goal: Some("3 ns"),
    },
    Bar {
        what: "an echo of 98 octets, checked, limited and counted, at most 60 ns above",
        cases: &["echo-98-pass"],
        than: Than::Ns(60.0),
        goal: Some("20 ns"),
    },
    Bar {
        what: "the same at most 15 ns above XDP_DROP where it is dropped, by a rule or beyond its limit",
        cases: &["echo-98-drop", "echo-98-limited"],
        than: Than::Ns(15.0),
        goal: None,
    },
    Bar {
        what: "an echo of 1,442 octets at most 60 ns above",
        cases: &["echo-1442-pass"],
        than: Than::Ns(60.0),
        goal: None,
    },
    Bar {
        what: "a limit by source at most 25 ns above the same packet without",
        cases: &["source-limit-1"],
        than: Than::Above("echo-98-accept", 25.0),
        goal: Some("15 ns"),
    },
    Bar {
        what: "a packet of a million sources at most twice one of a single source",
        cases: &["source-limit-1m"],
        than: Than::Times("source-limit-front-1", 2.0),
        goal: Some("1.5 times"),
    },
    Bar {
        what: "the same of IPv6",
        cases: &["source-limit6-1m"],
        than: Than::Times("source-limit6-front-1", 2.0),
        goal: Some("1.5 times"),
    },
    Bar {
        what: "100,000 prefixes at most 65 ns more than none, of one source",
        cases: &["zone-100000-prefixes-1"],
        than: Than::Above("zone-none-1", 65.0),
        goal: None,
    },
    Bar {
        what: "the same of scattered sources at most 150 ns more",
        cases: &["zone-100000-prefixes"],
        than: Than::Above("zone-none-1", 150.0),
        goal: None,
    },
    Bar {
        what: "an error about a live flow at most 150 ns above",
        cases: &["error-flow-live"],
        than: Than::Ns(150.0),
        goal: None,
    },
    Bar {
        what: "a stream of multicast to a member at most 60 ns above a classifier that goes on",
        cases: &["egress-gated"],
        than: Than::Ns(60.0),
        goal: None,
    },
    Bar {
        what: "other traffic that is sent at most 8 ns above a classifier that goes on",
        cases: &["egress-other"],
        than: Than::Ns(8.0),
        goal: Some("3 ns"),
    },
];

/// The cases, and what they are held against.
pub(crate) fn section(figures: &[Figures], text: String) -> Section {
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
        let mut row = vec![f.name.clone(), f.octets.to_string()];
        row.extend(spread(f.ours));
        row.extend([shown(f.empty.median), which.to_owned()]);
        row.extend(spread(f.above));
        table.row(row);
    }
    Section {
        name: "packets",
        title: "Nanoseconds a packet".to_owned(),
        text,
        table,
        bars: BARS.iter().map(|bar| held(bar, figures)).collect(),
        plot: None,
        figures: json(figures),
    }
}

fn held(bar: &Bar, figures: &[Figures]) -> Held {
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
    let what = bar.what.to_owned();
    let Some(held) = bar.cases.iter().map(held).collect::<Option<Vec<_>>>() else {
        return Held { what, met: None, figures: String::new() };
    };
    let met = held.iter().all(|(met, _)| *met);
    let each: Vec<String> = held.into_iter().map(|(_, figures)| figures).collect();
    let goal = bar.goal.map_or_else(String::new, |goal| format!("; the goal is {goal}"));
    Held { what, met: Some(met), figures: each.join(", ") + &goal }
}

/// The figures as `--json` has them.
fn json(figures: &[Figures]) -> Value {
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

    fn figures(name: &str, above: f64) -> Figures {
        let at = |ns: f64| Spread::of([ns]);
        let (ours, empty, above) = (at(30.0 + above), at(30.0), at(above));
        let (name, empty_program) = (name.to_owned(), "icmpgate_pass");
        Figures { name, octets: 64, empty_program, ours, empty, above }
    }

    /// What becomes of the bar that is about a case.
    fn met(case: &str, figures: &[Figures]) -> Option<bool> {
        held(BARS.iter().find(|bar| bar.cases[0] == case).unwrap(), figures).met
    }

    #[test]
    fn a_bar_holds_where_every_case_of_it_does() {
        let both = |a, b| [figures("tcp-syn", a), figures("udp-64", b)];
        assert_eq!(met("tcp-syn", &both(7.9, 8.0)), Some(true));
        assert_eq!(met("tcp-syn", &both(7.9, 8.1)), Some(false));
        assert_eq!(met("echo-98-pass", &both(1.0, 1.0)), None);
        let limits =
            |without, with| [figures("echo-98-accept", without), figures("source-limit-1", with)];
        assert_eq!(met("source-limit-1", &limits(20.0, 45.0)), Some(true));
        assert_eq!(met("source-limit-1", &limits(20.0, 45.1)), Some(false));
        assert_eq!(met("source-limit-1", &limits(20.0, 45.0)[1..]), None);
        let sources =
            |one, all| [figures("source-limit-front-1", one), figures("source-limit-1m", all)];
        assert_eq!(met("source-limit-1m", &sources(20.0, 40.0)), Some(true));
        assert_eq!(met("source-limit-1m", &sources(20.0, 40.1)), Some(false));
    }

    #[test]
    fn bars_are_about_cases_that_there_are() {
        let named = |name: &str| crate::cases::Case::named(name).is_some();
        for bar in &BARS {
            let other = match bar.than {
                Than::Ns(_) => None,
                Than::Above(other, _) | Than::Times(other, _) => Some(other),
            };
            assert!(bar.cases.iter().copied().chain(other).all(named), "{}", bar.what);
        }
    }

    #[test]
    fn the_json_has_the_agreed_keys() {
        let all = json(&[figures("tcp-syn", 3.456)]);
        let keys: Vec<&String> = all[0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["case", "empty_ns", "max_ns", "median_ns", "min_ns"]);
        assert_eq!(all[0]["median_ns"], 33.46);
    }
}

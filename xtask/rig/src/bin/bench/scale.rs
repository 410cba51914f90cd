//! How the cost of a packet grows: with sources, prefixes, records, octets and processors; and what links of
//! 25, 100 and 400 Gbit/s would need by it.

use crate::{
    Figures, Loaded, action_of,
    cases::{Case, MILLION, Policy},
    machine,
    measure::{RUNS, Sample, Spread, once},
    measured,
    plot::{Curve, Plot},
    section::{Section, json, shown, spread},
    user::maps,
    verify,
};
use anyhow::{Context as _, Result, ensure};
use icmp_common::verdict::Reason;
use icmpgate::datapath::{Instance, Program};
use icmpgate_rig::text::{Align, Table, thousands};
use serde_json::{Value, json};
use std::{sync::Barrier, thread};

const NS: &str = "ns a packet above the empty program";

/// A curve: cases by what grows.
struct Growth {
    name: &'static str,
    title: &'static str,
    text: &'static str,
    /// What grows.
    x: &'static str,
    curves: Vec<(&'static str, Vec<(u32, Case)>)>,
}

/// Measures all curves, and works out what fast links need.
pub(crate) fn run(rounds: u32) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for growth in [sources(), prefixes(), records(), octets(), groups()] {
        sections.push(growth.measure(rounds)?);
    }
    sections.push(memory_of_groups()?);
    sections.push(processors(rounds)?);
    sections.push(links(rounds)?);
    Ok(sections)
}

fn sources() -> Growth {
    let of = |octets: usize| {
        let case = |sources| {
            let name = format!("limit of {octets} octets by {sources} sources");
            (sources, Case::limited_by_source(name, octets, sources))
        };
        (0..=20).step_by(2).map(|power| case(1 << power)).collect()
    };
    Growth {
        name: "sources",
        title: "Sources under a limit by source",
        text: "Echo requests of 98 octets from ever more IPv4 sources, taken in turn and scattered, under a \
               limit by source with the default table of 65,536 keys, so high that nothing is beyond it.",
        x: "sources",
        curves: vec![("98 octets", of(98))],
    }
}

fn prefixes() -> Growth {
    let of = |scattered: bool| {
        let case = |prefixes: u32| {
            let name = format!("{prefixes} prefixes, scattered: {scattered}");
            let echo = Case::echo(name, 98, Policy::Zone(prefixes), Reason::ACCEPTED);
            // Each prefix has 8 addresses, and the sources are a power of two.
            let sources = if scattered { 1 << (prefixes * 8).ilog2() } else { 1 };
            (prefixes, Case { sources, ..echo })
        };
        [1, 10, 100, 1000, 10_000, 100_000].map(case).into()
    };
    Growth {
        name: "prefixes",
        title: "Prefixes of zones",
        text: "Echo requests that pass by a rule for a zone, from one source, and from as many scattered ones \
               as the prefixes hold (rounded down to a power of two).",
        x: "prefixes",
        curves: vec![("one source", of(false)), ("scattered sources", of(true))],
    }
}

fn groups() -> Growth {
    let counts = [1, 10, 100, 1000, 10_000, 30_000];
    let reports = counts.map(|n| (n, Case::member(format!("report among {n} groups"), n)));
    let streams = counts.map(|n| (n, Case::gated(format!("stream among {n} groups"), n)));
    Growth {
        name: "groups",
        title: "Groups with members",
        text: "IGMPv3 reports by which a member of one group among ever more stays one, and datagrams of a stream \
               that is sent to one that has a member.",
        x: "groups",
        curves: vec![("report", reports.into()), ("stream that is sent", streams.into())],
    }
}

/// What the kernel holds for groups that have members.
fn memory_of_groups() -> Result<Section> {
    let mut table = Table::new(&[("groups", Align::Right), ("MiB", Align::Right)]);
    let mut all = Vec::new();
    for groups in [0, 1000, 10_000, 30_000] {
        let before = maps()?;
        let _loaded = Loaded::for_cases(&[Case::gated("of memory".to_owned(), groups)], false)?;
        let new = maps()?.into_iter().filter(|(id, _)| !before.contains_key(id));
        let octets: u64 = new.map(|(_, octets)| octets).sum();
        let mib = octets as f64 / f64::from(1 << 20);
        table.row([thousands(groups.into()), shown(mib)]);
        all.push(json!({ "groups": groups, "octets": octets }));
    }
    Ok(Section {
        name: "groups-memory",
        title: "Memory of groups".to_owned(),
        text: "What the kernel holds for the maps of a private instance in which so many groups have a member each."
            .to_owned(),
        table,
        bars: Vec::new(),
        plot: None,
        figures: Value::Array(all),
    })
}

fn records() -> Growth {
    let case = |records: u8| {
        (u32::from(records), Case::report(format!("report of {records} records"), records))
    };
    Growth {
        name: "records",
        title: "Records of a membership report",
        text: "IGMPv3 reports of ever more group records without sources, all walked and under the checksum.",
        x: "group records",
        curves: vec![("IGMPv3 report", [1, 2, 4, 8, 16, 32, 64].map(case).into())],
    }
}

fn octets() -> Growth {
    let case = |octets: u32| {
        let name = format!("echo of {octets} octets");
        (octets, Case::echo(name, octets as usize, Policy::Pass, Reason::WITHIN_LIMIT))
    };
    Growth {
        name: "octets",
        title: "Octets of an echo request",
        text: "Echo requests within a limit in total; every octet is under the checksum.",
        x: "octets of the frame",
        curves: vec![("echo request", [64, 98, 128, 256, 512, 1024, 1514].map(case).into())],
    }
}

impl Growth {
    fn measure(self, rounds: u32) -> Result<Section> {
        let Self { name, title, text, x, curves } = self;
        let places: Vec<(&'static str, u32)> = curves
            .iter()
            .flat_map(|(name, points)| points.iter().map(|(x, _)| (*name, *x)))
            .collect();
        let cases: Vec<Case> =
            curves.into_iter().flat_map(|(_, points)| points).map(|(_, case)| case).collect();
        let (figures, _) = measured(&cases, rounds)?;
        let mut table = table(&[("", Align::Left), (x, Align::Right)], "ns above");
        let mut plot = Plot { x, y: NS, curves: Vec::new() };
        let mut all = Vec::new();
        for ((curve, x), figure) in places.into_iter().zip(figures) {
            let above = figure.above;
            table.row([curve.to_owned(), thousands(x.into())].into_iter().chain(spread(above)));
            all.push(json!({ "curve": curve, "x": x, "ns_above": json(above) }));
            plot.add(curve, f64::from(x), above);
        }
        Ok(Section {
            name,
            title: title.to_owned(),
            text: text.to_owned(),
            table,
            bars: Vec::new(),
            plot: Some(plot),
            figures: Value::Array(all),
        })
    }
}

impl Plot {
    fn add(&mut self, curve: &str, x: f64, y: Spread) {
        match self.curves.last_mut() {
            Some(last) if last.name == curve => last.points.push((x, y)),
            _ => self.curves.push(Curve { name: curve.to_owned(), points: vec![(x, y)] }),
        }
    }
}

/// A table whose last columns are a spread.
fn table(first: &[(&str, Align)], figure: &str) -> Table {
    use Align::Right;
    Table::new(&[first, &[(figure, Right), ("min", Right), ("max", Right)]].concat())
}

/// What is run on several processors at the same time.
const AT_ONCE: [(&str, Policy, Reason); 3] = [
    ("no limit", Policy::Accept, Reason::ACCEPTED),
    ("a limit in total", Policy::Pass, Reason::WITHIN_LIMIT),
    ("a limit by source", Policy::Source, Reason::WITHIN_LIMIT),
];

/// Each processor runs the program on a frame from a source of its own, all at the same time.
fn processors(rounds: u32) -> Result<Section> {
    let cpus = machine::processors()?;
    let case = |(name, policy, reason): (&str, Policy, Reason)| {
        Case::echo(name.to_owned(), 98, policy, reason)
    };
    let cases = AT_ONCE.map(case);
    verify(&cases)?;
    let loaded = Loaded::for_cases(&cases, false)?;
    let counts: Vec<usize> =
        (0..).map(|power| 1 << power).take_while(|n| *n < cpus.len()).collect();
    let counts = [counts, vec![cpus.len()]].concat();
    let mut samples = vec![vec![Vec::new(); counts.len()]; cases.len()];
    for round in 0..=rounds {
        for (case, samples) in cases.iter().zip(&mut samples) {
            let instance =
                &loaded.iter().find(|l| l.policy == case.policy).context("loaded")?.instance;
            for (count, samples) in counts.iter().zip(samples) {
                let ns = at_once(instance, case, &cpus[..*count])?;
                // The first round warms the caches.
                if round > 0 {
                    samples.push(ns);
                }
            }
        }
    }
    let mut table = table(&[("", Align::Left), ("processors", Align::Right)], "ns a packet");
    let mut plot = Plot { x: "processors", y: "ns a packet on each", curves: Vec::new() };
    let mut all = Vec::new();
    for ((name, ..), samples) in AT_ONCE.iter().zip(samples) {
        for (count, samples) in counts.iter().zip(samples) {
            let ns = Spread::of(samples);
            table.row([(*name).to_owned(), count.to_string()].into_iter().chain(spread(ns)));
            all.push(json!({ "curve": name, "x": count, "ns": json(ns) }));
            plot.add(name, *count as f64, ns);
        }
    }
    Ok(Section {
        name: "processors",
        title: "Processors at the same time".to_owned(),
        text: "Echo requests of 98 octets, on each processor from a source of its own, with what calling the \
               program costs. A limit in total is one word that all processors write; of the other two \
               nothing is shared."
            .to_owned(),
        table,
        bars: Vec::new(),
        plot: (counts.len() > 1).then_some(plot),
        figures: Value::Array(all),
    })
}

/// ns a packet, the mean over these processors.
fn at_once(instance: &Instance, case: &Case, cpus: &[usize]) -> Result<f64> {
    let start = Barrier::new(cpus.len());
    let one = |number: usize, cpu: usize| -> Result<f64> {
        let stays = machine::stay_on(cpu);
        let frame = case.with_source(number as u8);
        // Whatever failed: the others wait here.
        start.wait();
        stays?;
        // Once, since to take it again where something came between would be alone.
        let Sample { ns, action, .. } = once(instance, Program::Ingress, &frame, RUNS)?;
        let wanted = action_of(case);
        ensure!(action == wanted, "{}: action {action}, not {wanted}", case.name);
        Ok(ns)
    };
    let one = &one;
    thread::scope(|scope| {
        let threads: Vec<_> = cpus
            .iter()
            .enumerate()
            .map(|(number, cpu)| scope.spawn(move || one(number, *cpu)))
            .collect();
        let mut sum = 0.0;
        for thread in threads {
            sum += thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(sum / cpus.len() as f64)
    })
}

/// What a driver and the kernel take for a packet that is dropped in the hook, in ns: a ConnectX-5 and mlx5 on a
/// Xeon E5-1650, 24 million packets a second and core (Høiland-Jørgensen and others, The eXpress Data Path,
/// CoNEXT 2018, figure 3).
const DRIVER_NS: f64 = 41.6;
/// Octets that a frame takes on the wire beyond those that the hook sees: check sequence, preamble and gap.
const WIRE: usize = 4 + 8 + 12;

/// How many cores links need that carry nothing but one kind of packet.
fn links(rounds: u32) -> Result<Section> {
    let named = |name: &str| Case::named(name).context("a case that there is");
    let million = |octets: usize| {
        Case::limited_by_source(format!("a million sources, {octets} octets"), octets, MILLION)
    };
    let kinds = [
        ("other traffic, 64 octets", named("udp-64")?),
        ("echo beyond a limit, 98 octets", named("echo-98-limited")?),
        ("echo of a million sources, 64 octets", million(64)),
        ("echo of a million sources, 1,442 octets", million(1442)),
        ("other traffic, 1,514 octets", Case::other(1514)),
    ];
    let (names, cases): (Vec<_>, Vec<_>) = kinds.into_iter().unzip();
    let (figures, _) = measured(&cases, rounds)?;
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("all of the link is", Left),
        ("ns above", Right),
        ("25 Gbit/s: Mpps", Right),
        ("cores", Right),
        ("100 Gbit/s: Mpps", Right),
        ("cores", Right),
        ("400 Gbit/s: Mpps", Right),
        ("cores", Right),
    ]);
    let mut all = Vec::new();
    for (name, Figures { octets, above, .. }) in names.into_iter().zip(figures) {
        let mut row = vec![name.to_owned(), shown(above.median)];
        for gbits in [25.0, 100.0, 400.0] {
            let packets = gbits * 1e9 / (8.0 * (octets + WIRE) as f64);
            let cores = packets * (DRIVER_NS + above.median) / 1e9;
            row.extend([shown(packets / 1e6), shown(cores)]);
            all.push(json!({ "kind": name, "gbits": gbits, "packets": packets, "cores": cores }));
        }
        table.row(row);
    }
    Ok(Section {
        name: "links",
        title: "What fast links need, on paper".to_owned(),
        text: format!(
            "Not measured but worked out: packets a second at the link's full rate, times {DRIVER_NS} ns for \
             the driver and the kernel (a ConnectX-5 that drops 24 million packets a second and core, in \
             print) and what icmpgate costs above the empty program here. It assumes that the card spreads \
             packets evenly over as many queues as there are cores, that cores are like this one, whose \
             returns are guarded against speculation or not as the first lines say, that memory keeps up, and \
             that no limit in total is under contention (see the processors above). What the stack does with what \
             passes isn't counted. Octets are those that \
             the hook sees; on the wire each frame has {WIRE} more."
        ),
        table,
        bars: Vec::new(),
        plot: None,
        figures: Value::Array(all),
    })
}

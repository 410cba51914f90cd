//! Rows C1 and O1: what is counted apart, what shares a counter, and that nothing is lost when
//! counters run out or two processors count at once.

use icmp_common::{
    abi::{CLASSES, COUNTER_FREE, COUNTERS, class_kind, family},
    classify::assigned,
    verdict::{Mode, Reason},
};
use icmpgate::datapath::{Instance, Program};
use icmpgate_tests::{
    Gate, Ipv4, Ipv6, Message,
    gate::{OPEN, policy},
    message::echo,
    repetitions, require_root,
};
use std::{collections::HashSet, fmt::Write as _, thread};

fn v4(ty: u8, code: u8) -> Vec<u8> {
    Ipv4::default().icmp(Message::new(ty, code).zeros(60)).into()
}

fn v6(ty: u8, code: u8) -> Vec<u8> {
    Ipv6::default().icmp(Message::new(ty, code).zeros(60)).into()
}

#[test]
fn assigned_and_named_pairs_are_counted_apart_and_strangers_share_one() {
    let mut gate = Gate::new(
        r#"
        profile = "observe"
        [[rule]]
        name = "named"
        family = "icmpv4"
        type = 200
        code = [7, 9]
        action = "pass"
        [[rule]]
        name = "ranged"
        family = "icmpv4"
        type = "210-211"
        code = "0-3"
        action = "pass"
        [[rule]]
        name = "type-alone"
        family = "icmpv6"
        type = 220
        action = "pass"
        "#,
    );
    let apart = |gate: &mut Gate, frame: &[u8]| gate.run(frame).class.kind == class_kind::PAIR;
    for (ty, code) in
        [(0, 0), (3, 0), (3, 4), (3, 15), (8, 0), (9, 16), (12, 2), (43, 4), (200, 7), (200, 9)]
    {
        assert!(apart(&mut gate, &v4(ty, code)), "icmpv4 {ty}/{code}");
    }
    for (ty, code) in
        [(0, 1), (3, 16), (8, 1), (1, 0), (200, 8), (210, 0), (211, 3), (255, 255), (4, 1)]
    {
        assert!(!apart(&mut gate, &v4(ty, code)), "icmpv4 {ty}/{code}");
    }
    for (ty, code) in [(1, 0), (4, 10), (128, 0), (135, 0), (143, 0), (155, 0x8a), (161, 4)] {
        assert!(apart(&mut gate, &v6(ty, code)), "icmpv6 {ty}/{code}");
    }
    for (ty, code) in [(1, 10), (4, 11), (0, 0), (128, 1), (220, 0), (161, 5), (200, 7)] {
        assert!(!apart(&mut gate, &v6(ty, code)), "icmpv6 {ty}/{code}");
    }
    // Zero is a type, and never any: one of it is counted under it, and what has none isn't.
    let zero = gate.run(&v4(0, 0));
    assert_eq!((zero.class.kind, zero.class.ty, zero.class.code), (class_kind::PAIR, 0, 0));
    let later = gate.run(&Vec::from(Ipv4::default().fragment(1, false).payload(1, [0; 8])));
    assert_eq!((later.class.kind, later.class.family), (class_kind::HEADERLESS, family::ICMPV4));
    // Whatever strangers send, they mint no series.
    let used = gate.counters().used;
    for ty in 44..=99 {
        for code in 0..=20 {
            gate.send(&v4(ty, code));
        }
    }
    gate.settle();
    assert_eq!(gate.counters().used, used, "all of them in the counter that is there");
}

#[test]
fn a_pair_that_a_policy_named_stays_apart_when_another_forgets_it() {
    let named =
        "[[rule]]\nname = \"x\"\nfamily = \"icmpv4\"\ntype = 201\ncode = 3\naction = \"pass\"\n";
    let mut gate = Gate::new("profile = \"observe\"");
    assert_eq!(gate.run(&v4(201, 3)).class.kind, class_kind::OTHER);
    gate.apply(&format!("profile = \"observe\"\n{named}"));
    assert_eq!(gate.run(&v4(201, 3)).class.kind, class_kind::PAIR);
    gate.apply("profile = \"observe\"");
    assert_eq!(gate.run(&v4(201, 3)).class.kind, class_kind::PAIR);
    // The counters of before a swap go on: `run` compared each of them.
    let total: u64 = gate.counters().entries.iter().map(|e| e.count.packets).sum();
    assert_eq!(total, 3);
}

#[test]
fn a_counter_has_packets_and_the_octets_of_their_frames() {
    let mut gate = Gate::new(OPEN);
    let mut octets = 0;
    for n in [8, 9, 56, 1400, 1500, 4000, 8900] {
        let frame = Ipv4::default().icmp(echo(8).length(n)).frame().tags(n % 3).pad(n % 7).build();
        let frame = &frame[..frame.len().min(8942)];
        octets += frame.len() as u64;
        gate.run(frame);
    }
    let counters = gate.counters();
    assert_eq!(counters.entries.len(), 1);
    assert_eq!((counters.entries[0].count.packets, counters.entries[0].count.octets), (7, octets));
}

/// Whatever IP says of its length: less than the frame, as much, or more, in one buffer and in several.
#[test]
fn other_traffic_has_the_octets_of_its_frames() {
    let mut gate = Gate::new(OPEN);
    let (mut packets, mut octets) = (0, 0);
    let udp = |n: usize| Ipv4::default().payload(17, vec![7; n]);
    let udp6 = |n: usize| Ipv6::default().payload(17, vec![7; n]);
    let mut frames: Vec<Vec<u8>> = vec![vec![0; 14], vec![0xff; 33]];
    for n in [0, 1, 6, 25, 26, 27, 100, 1472, 4000, 8800] {
        for (tags, pad) in [(0, 0), (0, 1), (1, 18), (2, 40), (3, 3)] {
            frames.push(udp(n).frame().tags(tags).pad(pad).build());
            frames.push(udp6(n).frame().tags(tags).pad(pad).build());
        }
        for off in [-20, -1, 1, 3000] {
            frames.push(udp(n).total_length_off(off).into());
            frames.push(udp6(n).payload_length_off(off).into());
        }
    }
    for frame in frames {
        gate.run(&frame);
        packets += 1;
        octets += frame.len() as u64;
    }
    let counted = gate.counters().entries;
    let sum = counted.iter().fold((0, 0), |(p, o), e| (p + e.count.packets, o + e.count.octets));
    assert_eq!(sum, (packets, octets));
}

/// As many classes and outcomes as a flood can come to, which are more than there are counters.
#[test]
fn when_counters_run_out_nothing_is_lost() {
    let mut rules = String::from(OPEN);
    let assigned: HashSet<_> = assigned().collect();
    let room = CLASSES - 7 - assigned.len();
    let mut pairs: Vec<(u8, u8, u8)> = assigned.iter().copied().collect();
    pairs.sort_unstable();
    let strangers = (44..=252u8).flat_map(|ty| [(ty, 0u8), (ty, 1)]).take(room);
    for (ty, code) in strangers {
        pairs.push((family::ICMPV4, ty, code));
        writeln!(
            rules,
            "[[rule]]\nname = \"r{ty}-{code}\"\nfamily = \"icmpv4\"\ntype = {ty}\ncode = {code}\naction = \"pass\""
        )
        .unwrap();
    }
    assert_eq!(pairs.len() + 7, CLASSES);
    let mut gate = Gate::new(&rules);
    let mut sent = 0u64;
    let mut octets = 0u64;
    // Each way to be wrong, enforced and observed: 8 outcomes and more of each class.
    for mode in ["enforce", "observe"] {
        gate.apply(&format!("mode = \"{mode}\"\n{rules}"));
        for (f, ty, code) in &pairs {
            let good = || Message::new(*ty, *code).zeros(60);
            let frames: Vec<Vec<u8>> = if *f == family::ICMPV6 {
                let ip = Ipv6::default;
                vec![
                    ip().icmp(good()).into(),
                    ip().icmp(good().bad_checksum(1)).into(),
                    ip().icmp(good()).version(5).into(),
                    ip().icmp(good()).payload_length_off(1).into(),
                    ip().icmp(good().length(7)).into(),
                ]
            } else {
                let protocol = if *f == family::IGMP { 2 } else { 1 };
                let ip = |message: Message| Ipv4::default().payload(protocol, message.build(&[]));
                vec![
                    ip(good()).into(),
                    ip(good().bad_checksum(1)).into(),
                    ip(good()).version(5).into(),
                    ip(good()).total_length_off(1).into(),
                    ip(good()).bad_checksum(1).into(),
                    ip(good().length(7)).into(),
                ]
            };
            for frame in frames {
                gate.send(&frame);
                sent += 1;
                octets += frame.len() as u64;
            }
        }
    }
    let counters = gate.counters();
    println!(
        "{sent} packets, {} counters of {}, overflow {:?}",
        counters.used, counters.room, counters.overflow
    );
    assert_eq!(counters.room as usize, COUNTERS - COUNTER_FREE as usize);
    assert_eq!(counters.used, counters.room, "the flood has come to all of them");
    assert_eq!(counters.entries.len(), counters.used as usize);
    assert!(counters.overflow.packets > 500);
    let counted: u64 = counters.entries.iter().map(|e| e.count.packets).sum();
    assert_eq!(counted + counters.overflow.packets, sent);
    let counted: u64 = counters.entries.iter().map(|e| e.count.octets).sum();
    assert_eq!(counted + counters.overflow.octets, octets);
    // Those that have a counter keep it.
    let before = entry(&gate, Reason::ACCEPTED, 8);
    gate.apply(&rules);
    gate.send(&v4(8, 0));
    assert_eq!(entry(&gate, Reason::ACCEPTED, 8), before + 1);
}

fn entry(gate: &Gate, reason: Reason, ty: u8) -> u64 {
    let keys = &gate.compiled().class_keys;
    let of = |class: u16| keys[usize::from(class)];
    let found = gate.counters().entries.into_iter().find(|e| {
        let key = of(e.class);
        (e.outcome.reason(), e.outcome.mode()) == (reason, Mode::Enforce)
            && (key.kind, key.family, key.ty, key.code) == (class_kind::PAIR, family::ICMPV4, ty, 0)
    });
    found.map_or(0, |e| e.count.packets)
}

/// Each processor has counters of its own, and their sum is exact.
#[test]
fn two_processors_count_exactly() {
    require_root();
    let loaded = Instance::private(&policy(OPEN), false);
    let (instance, _) = loaded.unwrap_or_else(|error| panic!("{error}"));
    let frames =
        [v4(8, 0), v4(3, 4), v6(128, 0), v6(250, 9), Ipv4::default().payload(6, [0; 20]).into()];
    let runs = repetitions(40_000) as u64;
    let processors = thread::available_parallelism().map_or(1, usize::from).min(4);
    thread::scope(|scope| {
        for processor in 0..processors {
            let (instance, frames) = (&instance, &frames);
            scope.spawn(move || {
                pin_to(processor);
                for n in 0..runs {
                    let frame = &frames[n as usize % frames.len()];
                    instance.run(Program::Ingress, frame, 1).expect("it runs");
                }
            });
        }
    });
    let counters = instance.counters().expect("readable");
    assert_eq!(counters.entries.len(), frames.len());
    let each = runs / frames.len() as u64 * processors as u64;
    for entry in &counters.entries {
        assert_eq!(entry.count.packets, each, "{entry:?}");
    }
    println!("{} packets on {processors} processors", each * frames.len() as u64);
}

/// Keeps this thread on one processor.
fn pin_to(processor: usize) {
    // SAFETY: a set of processors is plain bits, and zero is the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is this function's own.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the set is as large as it is said to be.
    let failed = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(failed, 0, "pinned to {processor}");
}

//! Every program of the object is taken by this kernel's verifier.

use icmp_common::abi::attach_mode;
use icmpgate::{
    datapath::{Instance, Program},
    policy::{self, Profile},
};
use icmpgate_tests::{Ipv4, message::echo, require_root};
use std::time::Instant;

/// What a program may take.
struct Budget {
    /// Instructions that the verifier looks at; it gives up at a million (BPF_COMPLEXITY_LIMIT_INSNS).
    verified: u32,
    /// Octets of machine code.
    jited: u32,
}

/// A tenth to a seventh more than they take now on the kernel where they take most, 6.1. Who needs more says why.
fn budget(program: Program) -> Budget {
    match program {
        Program::Ingress => Budget { verified: 130_000, jited: 92_000 },
        Program::Egress => Budget { verified: 77_000, jited: 45_000 },
        Program::EchoFloor => Budget { verified: 4_600, jited: 3_600 },
        Program::OtherFloor | Program::EgressOtherFloor => Budget { verified: 200, jited: 400 },
        Program::SourceFloor => Budget { verified: 8_000, jited: 5_400 },
        Program::Sweep | Program::Flood => Budget { verified: 125, jited: 460 },
        Program::CountedDrop | Program::ReadDrop => Budget { verified: 30, jited: 170 },
        _ => Budget { verified: 2, jited: 32 },
    }
}

#[test]
fn every_program_verifies_with_and_without_traces() {
    require_root();
    for tracing in [false, true] {
        let start = Instant::now();
        let loaded = Instance::private(&policy::profile(Profile::Host), tracing);
        let (mut instance, _) = loaded.unwrap_or_else(|error| panic!("{error}"));
        println!("tracing {tracing}, loaded in {:.1?}", start.elapsed());
        for program in Program::ALL {
            let info = instance.info(program).expect("it was loaded");
            // A kernel that hides sizes from unprivileged users shows them to root.
            let verified = info.verified_instructions.expect("Linux 5.16 and later say");
            println!(
                "{:<27} verified instructions {verified:>7}, translated {:>6} octets, jited {:>6} octets",
                program.name(),
                info.translated.expect("root is told"),
                info.jited
            );
            let budget = budget(program);
            assert!((1..=budget.verified).contains(&verified), "of {}", budget.verified);
            // Zero where the JIT is off.
            assert!(info.jited <= budget.jited, "of {}", budget.jited);
        }
        let interfaces = instance.maps().interfaces().expect("readable");
        assert_eq!(interfaces.len(), 1);
        assert_eq!(interfaces[0].2.mode, attach_mode::DETACHED);
    }
}

#[test]
fn the_empty_programs_do_nothing_but_return() {
    require_root();
    let loaded = Instance::private(&policy::profile(Profile::Strict), true);
    let (instance, _) = loaded.unwrap_or_else(|error| panic!("{error}"));
    let frame: Vec<u8> = Ipv4::default().icmp(echo(8).bad_checksum(1)).into();
    for (program, action) in [(Program::EmptyPass, 2), (Program::EmptyDrop, 1)] {
        let run = instance.run(program, &frame, 1000).expect("it runs");
        assert_eq!(run.action, action);
        println!("{}: {:?} a run", program.name(), run.duration);
    }
    let counters = instance.counters().expect("readable");
    assert!(counters.entries.is_empty() && counters.overflow.packets == 0 && counters.used == 0);
}

#[test]
fn a_frame_that_the_test_run_refuses_is_said_to_be_not_runnable() {
    require_root();
    let loaded = Instance::private(&policy::profile(Profile::Host), true);
    let (instance, _) = loaded.unwrap_or_else(|error| panic!("{error}"));
    for octets in [0, 1, 13, 100_000] {
        let error = instance.run(Program::Ingress, &vec![0; octets], 1).expect_err("refused");
        let refused =
            matches!(error, icmpgate::datapath::Error::NotRunnable { octets: n } if n == octets);
        assert!(refused, "{octets}: {error}");
    }
    assert!(instance.run(Program::Ingress, &[0; 14], 1).is_ok());
    assert!(instance.counters().expect("readable").entries.len() == 1);
}

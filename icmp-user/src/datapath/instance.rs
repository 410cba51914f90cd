//! Copies of the program: attached ones, and private ones that only test runs reach.

use super::{
    Error, Maps, PinDir,
    btf::tcp_sequence,
    counters::Counters,
    first_tick,
    maps::Value,
    object::{self, Constants, Place},
    tick_units,
};
use crate::policy::{CheckedPolicy, Compiled};
use aya::{
    Ebpf,
    maps::{Array, ProgramArray},
    programs::{
        Program as AyaProgram, ProgramError, SchedClassifier, TestRun as _, TestRunOptions, Xdp,
    },
};
use icmp_common::{
    abi::{Sweep, Trace, name, origin},
    answer::WORDS_V6,
};
use std::{
    sync::{PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

/// The programs of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// What arrives.
    Ingress,
    /// What is sent.
    Egress,
    /// Only goes on, at the egress hook.
    EmptyEgress,
    /// Only passes.
    EmptyPass,
    /// Only drops.
    EmptyDrop,
    /// Reads, verifies, charges and counts one echo request, and knows nothing else.
    EchoFloor,
    /// Tells IPv4 of other protocols from ours and counts it, and knows nothing else.
    OtherFloor,
    /// Likewise, at the egress hook.
    EgressOtherFloor,
    /// Looks the source of an IPv4 packet up under a limit by source, counts and drops: see [`Instance::attach_floor`].
    SourceFloor,
    /// Gives the packet another source and goes on in another program: see [`Instance::sweep`].
    Sweep,
    /// Gives the packet another source and sends it: see [`Instance::flood`].
    Flood,
    /// Counts and drops: see [`Instance::attach_floor`].
    CountedDrop,
    /// Reads the frame, counts and drops: likewise.
    ReadDrop,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Ingress,
        Self::Egress,
        Self::EmptyEgress,
        Self::EmptyPass,
        Self::EmptyDrop,
        Self::EchoFloor,
        Self::OtherFloor,
        Self::EgressOtherFloor,
        Self::SourceFloor,
        Self::Sweep,
        Self::Flood,
        Self::CountedDrop,
        Self::ReadDrop,
    ];

    /// Whether it is of the egress hook.
    #[must_use]
    pub const fn is_of_egress(self) -> bool {
        matches!(self, Self::Egress | Self::EmptyEgress | Self::EgressOtherFloor)
    }

    pub(super) const fn missing(self) -> Error {
        Error::Missing { kind: "program", name: self.name() }
    }

    /// Its name in the object.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => name::INGRESS,
            Self::Egress => name::EGRESS,
            Self::EmptyEgress => name::EMPTY_EGRESS,
            Self::EmptyPass => name::EMPTY_PASS,
            Self::EmptyDrop => name::EMPTY_DROP,
            Self::EchoFloor => name::ECHO_FLOOR,
            Self::OtherFloor => name::OTHER_FLOOR,
            Self::EgressOtherFloor => name::EGRESS_OTHER_FLOOR,
            Self::SourceFloor => name::SOURCE_FLOOR,
            Self::Sweep => name::SWEEP_SOURCES,
            Self::Flood => name::FLOOD,
            Self::CountedDrop => name::COUNTED_DROP,
            Self::ReadDrop => name::READ_DROP,
        }
    }
}

/// The most octets that an answer has before its quote, link-layer header excepted.
const MOST_HEADERS: usize = 4 * WORDS_V6;

/// What the kernel says of a loaded program.
#[derive(Clone, Copy, Debug)]
pub struct Runnable {
    /// How many instructions the verifier looked at.
    pub verified_instructions: Option<u32>,
    /// The size of the translated program, in octets.
    pub translated: Option<u32>,
    /// The size of the machine code, in octets; 0 where the JIT is off.
    pub jited: u32,
}

/// The result of a test run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What the program returned: an XDP action, or at the egress hook a TC action.
    pub action: u32,
    /// The mean time of one run.
    pub duration: Duration,
}

/// A private copy of the real programs, with maps of its own: what is run here touches no live
/// counter and no live bucket, and goes with the process.
pub struct Instance {
    pub(super) ebpf: RwLock<Ebpf>,
    maps: Maps,
    interface: u32,
}

impl Instance {
    /// Loads a private copy with this policy. `tracing` has each packet's [`Trace`] written.
    ///
    /// # Errors
    /// Where the object isn't built, privilege lacks, or the kernel refuses it.
    pub fn private(policy: &CheckedPolicy, tracing: bool) -> Result<(Self, Compiled), Error> {
        // No interface can be called that, so no rule can name it.
        Self::private_as(policy, tracing, "private/")
    }

    /// As [`Instance::private`], under the name of an interface, so that rules that name it apply.
    ///
    /// # Errors
    /// As [`Instance::private`].
    pub fn private_as(
        policy: &CheckedPolicy,
        tracing: bool,
        interface: &str,
    ) -> Result<(Self, Compiled), Error> {
        Self::private_among(policy, tracing, &[interface], 0)
    }

    /// As [`Instance::private`], as the copy of one of several interfaces: of that which stands at
    /// `index`, its stable index. An attached instance gives them out in the order of attaching.
    ///
    /// # Errors
    /// As [`Instance::private`], and [`Error::TooManyInterfaces`].
    pub fn private_among(
        policy: &CheckedPolicy,
        tracing: bool,
        interfaces: &[&str],
        index: u32,
    ) -> Result<(Self, Compiled), Error> {
        let constants = Constants { interface_id: index, tracing, ..constants(policy.cell_sets()) };
        let mut ebpf = object::load(&Place::Private, constants)?;
        let mut maps = Maps::take(&mut ebpf)?;
        // A copy's maps are new, so these are 0, 1 and on.
        interfaces.iter().try_for_each(|name| maps.interface_id(name).map(drop))?;
        let compiled = maps.apply(policy)?;
        // What nearly every copy is for. The others are loaded when they are first asked for: the
        // verifier takes seconds where processors are slow.
        load_program(&mut ebpf, name::INGRESS)?;
        Ok((Self { ebpf: RwLock::new(ebpf), maps, interface: 0 }, compiled))
    }

    /// From now on, the programs at the egress hook take a frame for one that leaves by the interface of
    /// this number, in the network of who runs them. Until then it is the loopback interface.
    pub fn leave_by(&mut self, interface: u32) {
        self.interface = interface;
    }

    /// The shared maps.
    pub fn maps(&mut self) -> &mut Maps {
        &mut self.maps
    }

    /// The counters of this copy.
    ///
    /// # Errors
    /// Where a map lacks.
    pub fn counters(&self) -> Result<Counters, Error> {
        Counters::of(&self.read())
    }

    /// Runs a program on one frame, `repeat` times.
    ///
    /// # Errors
    /// [`Error::NotRunnable`] where the kernel's test run doesn't take the frame.
    pub fn run(&self, program: Program, frame: &[u8], repeat: u32) -> Result<Run, Error> {
        self.run_from(program, origin::GENERATED, frame, repeat)
    }

    /// As [`Instance::run`], with one of [`origin`]: what the programs at the egress hook take a
    /// frame for.
    ///
    /// # Errors
    /// As [`Instance::run`].
    pub fn run_from(
        &self,
        program: Program,
        from: u8,
        frame: &[u8],
        repeat: u32,
    ) -> Result<Run, Error> {
        let context = context(from, self.interface);
        let ctx_in = program.is_of_egress().then_some(&context[..]);
        let options =
            TestRunOptions { data_in: Some(frame), ctx_in, repeat, ..TestRunOptions::new() };
        self.test_run(program, frame, options).map(|(run, _)| run)
    }

    /// Runs a program on one frame, once, and gives the frame as it left it.
    ///
    /// # Errors
    /// As [`Instance::run`].
    pub fn run_for_output(
        &self,
        program: Program,
        from: u8,
        frame: &[u8],
    ) -> Result<(Run, Vec<u8>), Error> {
        let context = context(from, self.interface);
        let ctx_in = program.is_of_egress().then_some(&context[..]);
        // An answer has the frame and headers before it.
        let mut output = vec![0; frame.len() + MOST_HEADERS];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut output),
            ctx_in,
            ..TestRunOptions::new()
        };
        let (run, length) = self.test_run(program, frame, options)?;
        output.truncate(length);
        Ok((run, output))
    }

    fn test_run(
        &self,
        program: Program,
        frame: &[u8],
        options: TestRunOptions<'_>,
    ) -> Result<(Run, usize), Error> {
        self.ensure_loaded(program)?;
        let result = match self.read().program(program.name()) {
            Some(AyaProgram::SchedClassifier(classifier)) => classifier.test_run(options),
            Some(AyaProgram::Xdp(xdp)) => xdp.test_run(options),
            _ => return Err(program.missing()),
        };
        match result {
            Ok(result) => {
                let run = Run { action: result.return_value, duration: result.duration };
                Ok((run, result.data_size_out as usize))
            }
            Err(ProgramError::SyscallError(error))
                if matches!(error.io_error.raw_os_error(), Some(libc::EINVAL | libc::ENOMEM)) =>
            {
                Err(Error::NotRunnable { octets: frame.len() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes [`Program::Sweep`] go through this many sources, a power of two up to 2^24, and go on
    /// in that program.
    ///
    /// # Errors
    /// Where a map can't be written.
    pub fn sweep(&mut self, sources: u32, to: Program) -> Result<(), Error> {
        self.ensure_loaded(to)?;
        self.set_sweep(Sweep { mask: sources - 1, ..Sweep::default() })?;
        let ebpf = self.ebpf.get_mut().unwrap_or_else(PoisonError::into_inner);
        let program = ebpf.program(to.name()).ok_or(to.missing())?;
        let program = program.fd()?.try_clone().map_err(Error::io("duplicating a descriptor"))?;
        let map = Error::Missing { kind: "map", name: name::SWEEP_TO };
        let to = ebpf.map_mut(name::SWEEP_TO).ok_or(map)?;
        let mut to: ProgramArray<_> = to.try_into()?;
        to.set(0, &program, 0)?;
        Ok(())
    }

    pub(super) fn set_sweep(&mut self, sweep: Sweep) -> Result<(), Error> {
        let ebpf = self.ebpf.get_mut().unwrap_or_else(PoisonError::into_inner);
        let map = Error::Missing { kind: "map", name: name::SWEEP };
        let mut map: Array<_, Value<Sweep>> = ebpf.map_mut(name::SWEEP).ok_or(map)?.try_into()?;
        Ok(map.set(0, Value(sweep), 0)?)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Ebpf> {
        self.ebpf.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ensure_loaded(&self, program: Program) -> Result<(), Error> {
        let is_loaded = |ebpf: &Ebpf| ebpf.program(program.name()).is_some_and(|p| p.fd().is_ok());
        if is_loaded(&self.read()) {
            return Ok(());
        }
        let mut ebpf = self.ebpf.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have come first.
        if is_loaded(&ebpf) { Ok(()) } else { load_program(&mut ebpf, program.name()) }
    }

    /// What happened to the last packet. Only where the copy was loaded for tracing.
    ///
    /// # Errors
    /// Where the map can't be read.
    pub fn trace(&self) -> Result<Trace, Error> {
        let ebpf = self.read();
        let map = ebpf.map(name::TRACE);
        let map = map.ok_or(Error::Missing { kind: "map", name: name::TRACE })?;
        let traces: Array<_, Value<Trace>> = map.try_into()?;
        Ok(traces.get(&0, 0)?.0)
    }

    /// What the kernel says of a program.
    ///
    /// # Errors
    /// Where it can't be asked.
    pub fn info(&self, program: Program) -> Result<Runnable, Error> {
        self.ensure_loaded(program)?;
        let info = self.read().program(program.name()).ok_or(program.missing())?.info()?;
        Ok(Runnable {
            verified_instructions: info.verified_instruction_count(),
            translated: info.size_translated(),
            jited: info.size_jitted(),
        })
    }
}

fn constants(cell_sets: u32) -> Constants {
    Constants {
        interface_id: 0,
        tracing: false,
        tick: tick_units(),
        first_tick: first_tick(),
        tcp_sequence: tcp_sequence().unwrap_or_default(),
        cell_sets,
    }
}

/// A `struct __sk_buff` (linux/bpf.h) as a test run takes it, as far as the fields that tell where the
/// packet arrived (on the loopback interface, or nowhere) and where it leaves.
fn context(from: u8, interface: u32) -> [u8; 44] {
    const INGRESS_IFINDEX: usize = 36;
    const IFINDEX: usize = 40;
    let mut context = [0; 44];
    let arrived = u32::from(from == origin::FORWARDED);
    context[INGRESS_IFINDEX..IFINDEX].copy_from_slice(&arrived.to_ne_bytes());
    context[IFINDEX..].copy_from_slice(&interface.to_ne_bytes());
    context
}

/// Loads one program of a copy.
fn load_program(ebpf: &mut Ebpf, name: &'static str) -> Result<(), Error> {
    match ebpf.program_mut(name).ok_or(Error::Missing { kind: "program", name })? {
        AyaProgram::Xdp(xdp) => verified(xdp.load(), name),
        AyaProgram::SchedClassifier(classifier) => verified(classifier.load(), name),
        _ => Err(Error::Missing { kind: "program", name }),
    }
}

/// The two programs of a copy that are attached.
pub(super) struct Pair<'a> {
    /// For what arrives.
    pub ingress: &'a mut Xdp,
    /// For what is sent.
    pub egress: &'a mut SchedClassifier,
}

impl<'a> Pair<'a> {
    pub(super) fn of(ebpf: &'a mut Ebpf) -> Result<Self, Error> {
        let (mut ingress, mut egress) = (None, None);
        for (found, program) in ebpf.programs_mut() {
            match (found, program) {
                (name::INGRESS, AyaProgram::Xdp(xdp)) => ingress = Some(xdp),
                (name::EGRESS, AyaProgram::SchedClassifier(tc)) => egress = Some(tc),
                _ => {}
            }
        }
        let missing = |name| Error::Missing { kind: "program", name };
        Ok(Self {
            ingress: ingress.ok_or(missing(name::INGRESS))?,
            egress: egress.ok_or(missing(name::EGRESS))?,
        })
    }
}

/// Loads the program for what arrives.
pub(super) fn load_ingress(program: &mut Xdp) -> Result<(), Error> {
    verified(program.load(), name::INGRESS)
}

/// Loads the program for what is sent.
pub(super) fn load_egress(program: &mut SchedClassifier) -> Result<(), Error> {
    verified(program.load(), name::EGRESS)
}

/// What came of loading a program; the verifier's last words are the error's.
fn verified(loaded: Result<(), ProgramError>, name: &'static str) -> Result<(), Error> {
    match loaded {
        Ok(()) => Ok(()),
        Err(ProgramError::LoadError { io_error, verifier_log }) => {
            let log = verifier_log.to_string();
            let mut lines: Vec<&str> =
                log.lines().rev().filter(|l| !l.is_empty()).take(4).collect();
            lines.reverse();
            let message = format!("{io_error}; {}", lines.join("; "));
            Err(Error::Verifier { program: name.to_owned(), message })
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes the copy of one interface, with its maps pinned; its programs aren't loaded yet. The first of an
/// instance makes the shared maps, too, with so many sets of cells.
pub(super) fn for_interface(
    pins: &PinDir,
    interface: &str,
    id: u32,
    cell_sets: u32,
) -> Result<Ebpf, Error> {
    pins.create_interface(interface)?;
    let constants = Constants { interface_id: id, ..constants(cell_sets) };
    object::load(&Place::Interface(pins, interface), constants)
}

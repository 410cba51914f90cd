//! `run`: attaches, looks after what it attached, serves metrics, and detaches at the end.
//!
//! The program filters by itself: this process may die at any time, and what is pinned goes on
//! without it. While it lives it keeps what is known of the machine's addresses and neighbours up to
//! date, attaches again to
//! interfaces that went away and came back, and follows those that get another name.

use super::{
    DONE, FAILED, Global, groups,
    neighbourhood::Neighbourhood,
    output::say,
    start,
    watch::{Addresses, Interfaces},
};
use crate::{
    datapath::{Attached, Error, PinDir, detach, make_ready},
    observe::serve,
};
use anyhow::Context as _;
use std::{io, net::SocketAddr, process::ExitCode, str::FromStr, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

/// How often interfaces are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What to run on.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    start: start::Args,
    /// Where metrics are served by HTTP; `off` for nowhere
    #[arg(long, value_name = "ADDR:PORT|off", default_value = "127.0.0.1:9917")]
    metrics: Metrics,
    /// Leave everything attached and filtering at the end, for the next run to take up
    #[arg(long)]
    keep_attached: bool,
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metrics {
    At(SocketAddr),
    Off,
}

impl FromStr for Metrics {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(
                |_| "expected an address and port, as 127.0.0.1:9917 or [::1]:9917, or off",
            ),
        }
    }
}

/// Runs until it is told to end.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    share_memory();
    // First of all: it takes longer than all else that comes before attaching.
    make_ready();
    super::block_on(daemon(args, global.pins()))
}

async fn daemon(args: &Args, pins: PinDir) -> anyhow::Result<ExitCode> {
    // From here on neither signal ends the process before it has cleaned up.
    let mut stop = Stop::listen().context("listening to signals")?;
    // Before the addresses are read for the first time, so that no change is missed.
    let addresses = Addresses::watch(pins.clone())?;
    let mut neighbourhood = Neighbourhood::watch(pins.clone())?;
    let start = start::Start::prepare(&args.start).await?;
    let listener = match args.metrics {
        Metrics::Off => None,
        Metrics::At(address) => Some(bind(address).await?),
    };
    let start::Started { mut attached, without_shares, claims } = start.attach(&pins, true)?;
    neighbourhood.look_and_say(true).await;
    let served = match listener {
        None => "no metrics".to_owned(),
        Some(listener) => {
            let address = listener.local_addr()?;
            tokio::spawn(serve::serve(listener, pins.clone()));
            format!("metrics on {}", serve::url(address))
        }
    };
    tokio::spawn(addresses.keep(without_shares));
    tokio::spawn(neighbourhood.keep());
    tokio::spawn(groups::sweep(pins.clone()));
    let mut interfaces = Interfaces::new(pins.clone(), &start.interfaces, start.mode);
    say(format_args!("ready: {}, {served}", summary(&attached)));
    interfaces.listen(attached.iter_mut().filter_map(|a| a.log.take()));
    give_back_memory();

    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            name = stop.wait() => {
                say(format_args!("{name}: ending"));
                break;
            }
            _ = look.tick() => {
                interfaces.look().await;
                if interfaces.all_detached() {
                    say(format_args!("every interface was detached by another command: ending"));
                    return Ok(ExitCode::from(DONE));
                }
            }
        }
    }
    let code = end(&pins, interfaces.names(), args.keep_attached);
    // Until here another run would have been refused.
    drop(claims);
    Ok(ExitCode::from(code))
}

/// Has all threads allocate from one place: of what is free in another's own, glibc gives nothing back at its end.
fn share_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it has no preconditions.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back to the kernel what only the start needed: the object, taken apart, is several MB.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Opens the metrics' socket. It comes before attaching, so that a port that is taken attaches
/// nothing.
async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "the metrics address {address} is taken; choose another with --metrics ADDR:PORT, or \
             serve none with --metrics off"
        ),
        _ => anyhow::anyhow!(
            "metrics can't be served on {address}: {error}; choose an address of this machine with \
             --metrics ADDR:PORT (is `lo` up?), or serve none with --metrics off"
        ),
    })?;
    if !address.ip().is_loopback() {
        say(format_args!("note: metrics are shown to all who reach {address}"));
    }
    Ok(listener)
}

fn summary(attached: &[Attached]) -> String {
    let one = |a: &Attached| {
        format!("{} ({})", a.interface.name, if a.native { "native" } else { "generic" })
    };
    attached.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn end<'a>(pins: &PinDir, names: impl Iterator<Item = &'a str>, keep_attached: bool) -> u8 {
    let mut code = DONE;
    for name in names {
        if keep_attached {
            say(format_args!(
                "{name}: stays attached and filters on; the next run takes it up, and `icmpgate \
                 detach` frees it"
            ));
            continue;
        }
        match detach(pins, name) {
            Ok(()) => say(format_args!("{name}: detached")),
            // Another command was quicker.
            Err(Error::NotAttached { .. } | Error::NoInstance { .. }) => {}
            Err(error) => {
                say(format_args!("{name} could not be detached: {error}"));
                code = FAILED;
            }
        }
    }
    code
}

/// The signals that end a run.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// None where the program was started to outlive its terminal (`nohup`).
    hangup: Option<Signal>,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for one, and returns its name.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = async {
                match &mut self.hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            } => "SIGHUP",
        }
    }
}

/// Whether this process was started with SIGHUP ignored.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_metrics_are_served() {
        assert_eq!("off".parse(), Ok(Metrics::Off));
        let v4 = SocketAddr::from(([127, 0, 0, 1], 9917));
        assert_eq!("127.0.0.1:9917".parse(), Ok(Metrics::At(v4)));
        assert!(matches!("[::1]:0".parse(), Ok(Metrics::At(_))));
        for wrong in ["", "9917", ":9917", "127.0.0.1", "127.0.0.1:70000", "Off", "localhost:1"] {
            assert!(wrong.parse::<Metrics>().is_err(), "{wrong}");
        }
    }
}

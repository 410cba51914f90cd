//! Plays every attack, and prints the table of what came of them, in Markdown: see `cargo xtask attacks`.

use icmpgate_tests::{
    attack::{Attack, HEAD, TABLE},
    daemon::program,
    require_root,
};
use std::{fs, process::ExitCode, sync::Mutex, thread};

fn main() -> ExitCode {
    require_root();
    // Before all players ask for it.
    let _ = program();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is = |name: &str, attack: &Attack| attack.name.contains(name) || attack.test() == name;
    let unknown = wanted.iter().find(|name| !TABLE.iter().any(|attack| is(name, attack)));
    if let Some(name) = unknown {
        eprintln!("there is no attack {name:?}; there are:");
        TABLE.iter().for_each(|attack| eprintln!("  {}", attack.name));
        return ExitCode::from(2);
    }
    let is_wanted =
        |attack: &&Attack| wanted.is_empty() || wanted.iter().any(|name| is(name, attack));
    let attacks: Vec<&Attack> = TABLE.iter().filter(is_wanted).collect();
    let queue = Mutex::new(attacks.iter().enumerate());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((at, attack)) = queue.lock().expect("no player panics").next() else {
                        break;
                    };
                    let played = attack.play();
                    let row = (at, attack.row(&played), attack.wrong(&played));
                    done.lock().expect("no player panics").push(row);
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no player panics");
    done.sort();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux says which it is");
    println!("Linux {}\n\n{HEAD}", release.trim());
    for (_, row, _) in &done {
        println!("{row}");
    }
    let wrong: Vec<&String> = done.iter().flat_map(|(.., wrong)| wrong).collect();
    for line in &wrong {
        eprintln!("{line}");
    }
    ExitCode::from(u8::from(!wrong.is_empty()))
}

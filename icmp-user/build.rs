//! Embeds the kernel object that `cargo xtask build` leaves in `target/bpf`, so that the binary is
//! all there is to install. Where it isn't built yet, an empty one is embedded: everything compiles
//! and every test that needs no kernel runs, and what needs the object says in one line how to
//! build it.

use std::{env, fs, path::PathBuf};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let folder = root.join("../target/bpf");
    let object =
        env::var_os("ICMPGATE_BPF_OBJECT").map_or(folder.join("icmpgate.o"), PathBuf::from);
    // The folder is watched, not the file: watching what isn't there would run this every time.
    fs::create_dir_all(&folder).expect("target/bpf can be made");
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-env-changed=ICMPGATE_BPF_OBJECT");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("icmpgate.o");
    fs::write(out, fs::read(&object).unwrap_or_default()).expect("OUT_DIR can be written");
}

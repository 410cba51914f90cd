//! The command line of icmpgate: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    icmpgate::cli::main()
}

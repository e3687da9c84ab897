//! The program `stream-manager`; what it does is in the library's `cli`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    stream_manager::cli::main(std::env::args_os())
}

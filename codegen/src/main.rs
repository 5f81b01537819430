//! Writes `src/grpc/generated.rs` from `proto/node.proto`; with `--check` only tells whether it is up to date.
//!
//! The result is checked in, so that nobody who builds `gen_api` needs `protoc`. Run from the root of the workspace:
//!
//! ```text
//! cargo run -p gen_api-codegen
//! cargo run -p gen_api-codegen -- --check
//! ```

use std::{error::Error, fs, path::Path, process::ExitCode};

const PROTO: &str = "proto/node.proto";
const GENERATED: &str = "src/grpc/generated.rs";
const HEADER: &str =
    "// Generated from proto/node.proto by `cargo run -p gen_api-codegen`. Not to be edited.\n\n";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let fresh = generate()?;
    if std::env::args().any(|argument| argument == "--check") {
        let current = fs::read_to_string(GENERATED)?;
        if current != fresh {
            eprintln!("{GENERATED} does not fit {PROTO}: run `cargo run -p gen_api-codegen`");
            return Ok(ExitCode::FAILURE);
        }
        println!("{GENERATED} fits {PROTO}");
    } else {
        fs::write(GENERATED, fresh)?;
        println!("wrote {GENERATED}");
    }
    Ok(ExitCode::SUCCESS)
}

fn generate() -> Result<String, Box<dyn Error>> {
    let descriptors = protox::compile([PROTO], ["proto"])?;
    let folder = std::env::temp_dir().join(format!("gen_api-codegen-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let written = tonic_prost_build::configure()
        .bytes(".")
        .out_dir(&folder)
        .compile_fds(descriptors);
    let code = written.and_then(|()| fs::read_to_string(folder.join("gen_api.v1.rs")));
    remove(&folder);
    Ok(format!("{HEADER}{}", code?))
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        eprintln!("{} stays behind: {error}", folder.display());
    }
}

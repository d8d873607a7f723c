//! Builds the programs of `tests/c` against `include/bam.h` and `libbam.so` with a C compiler that forgives nothing,
//! and runs them; under valgrind where it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder that `libbam.so` lies in, built now.
fn library() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    let status = cargo.args(["build", "--quiet", "--package", "bam-capi"]).status();
    assert!(status.expect("cargo runs").success(), "libbam.so does not build");
    let test = std::env::current_exe().expect("the test knows where it lies");
    // target/debug/deps/c-0123 -> target/debug
    test.ancestors().nth(2).expect("a target folder").to_path_buf()
}

fn run(program: &str) {
    let (root, library, scratch) = (root(), library(), tempfile::tempdir().expect("a scratch folder"));
    let binary = scratch.path().join(program);
    let output = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-g",
            "-D_GNU_SOURCE",
            "-pthread",
            "-I",
        ])
        .arg(root.join("include"))
        .arg(root.join("tests/c").join(program).with_extension("c"))
        .args(["-o".as_ref(), binary.as_os_str()])
        .arg(format!("-L{}", library.display()))
        .args(["-lbam".to_owned(), format!("-Wl,-rpath,{}", library.display())])
        .output()
        .expect("a C compiler");
    assert!(output.status.success(), "{program}.c: {}", String::from_utf8_lossy(&output.stderr));

    let valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    let mut command = if valgrind {
        let mut command = Command::new("valgrind");
        command.args([
            "--quiet",
            "--error-exitcode=99",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
        ]);
        command.arg(&binary);
        command
    } else {
        eprintln!("valgrind is not installed: {program} runs without it");
        Command::new(&binary)
    };
    let output = command.arg(scratch.path()).output().expect("the program starts");
    assert!(
        output.status.success(),
        "{program}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn basics() {
    run("basics");
}

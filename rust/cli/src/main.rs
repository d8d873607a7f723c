//! `bam`: the native command line. Thin: it parses arguments, finds the configuration, starts a job of the engine,
//! draws its progress and prints its result. What the verbs do is the engine's.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests let nothing fail to close, and are refused no thread")
)]

mod args;
mod configuration;
mod confirm;
mod help;
mod maintenance;
mod manual;
mod notify;
mod php_shim;
mod place;
mod print;
mod result;
mod signals;
mod status_file;
mod stream;
mod verbs;
mod work;
mod yaml_edit;

use args::{Cli, ConfigVerb, DestinationVerb, ScheduleVerb, Verb};
use bam::config::by_shape;
use bam::job::{RecoverWay, Request};
use bam::{Code, Error, Result};
use clap::{CommandFactory, FromArgMatches};
use print::Output;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use verbs::{
    across, backup, backups, check, copies, decrypt, delete, destination, drill, import_settings, keygen,
    lists, look, recover, rekey, restore, run, schedule, status, verify,
};

fn main() -> ExitCode {
    bam::environment::protect_memory();
    signals::outlive_file_limit();
    let matches = help::command().try_get_matches();
    let cli = matches.and_then(|found| Cli::from_arg_matches(&found)).unwrap_or_else(|error| misused(&error));
    let mut output = Output::new(cli.global.json, cli.global.quiet);
    output.for_site(&cli.global);
    let watched = cli.global.status_file.clone().map_or(Ok(()), |path| output.watch(path));
    let outcome = watched.and_then(|()| run(cli, &output));
    let outcome = match (outcome, output.unwritten()) {
        (Ok(0), Some(lost)) => Err(lost),
        (outcome, lost) => {
            lost.iter().for_each(|lost| output.warn(lost.message()));
            outcome
        }
    };
    output.end(&outcome);
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.code().exit_code())
        }
    }
}

/// Ends with what clap says of the command line: help, or what is wrong with it, for scripts as any other failure.
fn misused(error: &clap::Error) -> ! {
    if error.use_stderr() && std::env::args_os().any(|word| word == "--json") {
        let text = error.to_string();
        // The first paragraph; behind it come the usage and where to read more.
        let said: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        let said = said.join(" ").trim_start_matches("error: ").to_owned();
        let failure = status_file::failure(&Error::new(Code::Usage, said));
        Output::new(true, false).text(format!("{failure:#}\n").as_bytes());
    }
    let said = error.to_string();
    let shown = by_shape(said.clone());
    if shown == said {
        let printed = error.print().and_then(|()| std::io::stdout().flush());
        let lost = printed.err().filter(|cause| cause.kind() != ErrorKind::BrokenPipe);
        // Where it goes to standard error, nobody could be told.
        if let Some(cause) = lost.filter(|_| !error.use_stderr()) {
            let lost = print::unwritten(cause);
            Output::new(false, false).error(&lost);
            std::process::exit(lost.code().exit_code().into());
        }
        std::process::exit(error.exit_code());
    }
    // Somebody gave a password, or a place with one, where none belongs.
    eprint!("{shown}");
    std::process::exit(error.exit_code())
}

/// Does what was asked; the exit code of a run that went through (0, or 3 for partial success).
#[allow(clippy::too_many_lines, reason = "a table: each verb, and the file that does it")]
fn run(cli: Cli, output: &Output) -> Result<u8> {
    let global = cli.global;
    global.check(&cli.verb)?;
    match cli.verb {
        Verb::Backup(args) => backup::backup(configuration::load(&global)?, args, output),
        Verb::Run { schedules } => run::run_schedules(&configuration::load(&global)?, schedules, output),
        Verb::Status { prometheus, of } => {
            status::status(configuration::load(&global)?, prometheus, of.site, output)
        }
        Verb::Replicate { of } => copies::replicate(configuration::load(&global)?, of.site, output),
        Verb::Prune { schedules, dry_run, of } => {
            let request = Request::Prune { schedules, dry_run, site: of.site };
            copies::prune(configuration::load(&global)?, request, dry_run, output)
        }
        Verb::Export { id: what, path, forget: true, .. } => {
            copies::forget(configuration::load(&global)?, Request::Forget { what, path }, output)
        }
        Verb::Export { id, path, create, host, with_program, unauthenticated, source, of, forget: false } => {
            let program = with_program.then(std::env::current_exe).transpose()?;
            let path = path.unwrap_or_default();
            let site = of.site;
            let request = Request::Export { id, path, create, host, program, unauthenticated, source, site };
            copies::export(configuration::load(&global)?, request, output)
        }
        Verb::Import { file, destination, unauthenticated } => {
            let request = Request::Import { file, destination, unauthenticated };
            copies::import(configuration::load(&global)?, request, output)
        }
        Verb::Recover { take_back, finish } => {
            let way = match (take_back, finish) {
                (true, _) => RecoverWay::TakeBack,
                (_, true) => RecoverWay::Finish,
                _ => RecoverWay::Either,
            };
            recover::recover(configuration::load(&global)?, way, output)
        }
        Verb::Schedule { what: ScheduleVerb::Install { user, cron, print } } => {
            schedule::install(&global, &user, cron, print, output)
        }
        Verb::Schedule { what: ScheduleVerb::Remove } => schedule::remove(&global, output),
        Verb::Schedule { what: ScheduleVerb::Status } => schedule::status(&global, output),
        Verb::Destination { what: DestinationVerb::Trust { name, yes } } => {
            destination::trust(&configuration::load(&global)?, &name, yes, output)
        }
        Verb::Destination { what: DestinationVerb::Add(args) } => destination::add(&global, args, output),
        Verb::Destination { what: DestinationVerb::Try { name } } => {
            destination::try_out(configuration::load(&global)?, &name, output)
        }
        Verb::Destination { what: DestinationVerb::Init { name } } => {
            destination::init(configuration::load(&global)?, &name, output)
        }
        Verb::Destination { what: DestinationVerb::HostKey { place } } => {
            destination::show_host_key(&configuration::find(&global)?.unwrap_or_default(), &place, output)
        }
        Verb::Backups(args) => backups::backups(place::document(&global, &args.place, false)?, args, output),
        Verb::Ls(args) => look::ls(&global, args, output),
        Verb::Cat(args) => look::cat(&global, args, output),
        Verb::Diff(args) => across::diff(&global, args, output),
        Verb::Find(args) => across::find(&global, args, output),
        Verb::Mount(args) => across::mount(configuration::load(&global)?, args, output),
        Verb::Stats(args) => across::stats(place::document(&global, &args.place, false)?, args, output),
        Verb::Restore(args) => restore::restore(&global, args, output),
        Verb::Verify(args) => verify::verify(place::document(&global, &args.place, false)?, args, output),
        Verb::Delete(args) => delete::delete(configuration::load(&global)?, args, output),
        Verb::Decrypt(args) => decrypt::run(&global, args, output),
        Verb::Config { what: ConfigVerb::Check { offline } } => check::check(&global, offline, output),
        Verb::Config { what: ConfigVerb::Export { format, secrets } } => {
            lists::export(&configuration::load(&global)?, format, secrets, output)
        }
        Verb::ImportSettings(args) => import_settings::run(&global, args, output),
        Verb::Keygen(args) => keygen::run(&global, args, output),
        Verb::Drill(args) => drill::drill(configuration::load(&global)?, args, output),
        Verb::Rekey(args) => rekey::rekey(configuration::load(&global)?, args, output),
        Verb::Keys => keygen::list(&configuration::load(&global)?, output),
        Verb::Sources => lists::sources(&configuration::load(&global)?, output),
        Verb::Destinations => lists::destinations(&configuration::load(&global)?, output),
        Verb::Profiles => lists::profiles(&configuration::load(&global)?, output),
        Verb::Schedules => lists::schedules(&configuration::load(&global)?, output),
        Verb::Manual { folder } => manual::write(&folder).map(|()| 0),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bam", &mut script);
            output.text(&script);
            Ok(0)
        }
    }
}

/// The names of a comma-separated list.
fn names(list: Option<String>) -> Result<Vec<String>> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err(Error::new(Code::Usage, format!("an empty name in the list of destinations '{list}'"))
            .hint("separate names by single commas: manual,offsite"));
    }
    Ok(names)
}

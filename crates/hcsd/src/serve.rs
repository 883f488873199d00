//! The service itself, from its options to its end.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use hcs_engine::engine::Engine;
use hcs_wire::places;
use rustix::fs::Mode;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::LocalSet,
};
use tracing::{info, warn};

use crate::{
    cli::Options,
    client::{connection::Connection, router::Router, service::Service},
    door::{
        greeting::Door,
        listener::{self, Access, Listener},
        lobby::Lobby,
        peers::Entitled,
        permits::Permits,
        unheard::Unheard,
    },
    engines::{self, Claim, ContainerSettings, Helpers, OwnGroup},
    network::Networks,
    record::{
        event_log::{EventLog, Kind, event},
        files::{self, StateRoot},
    },
    system::{adopt, context::Context},
    thread::{
        closing::{self, Closing},
        share::WAITING_THREADS,
    },
    upkeep::{
        config::{Config, DefaultNetwork},
        cpu_groups::{self, CpuGroups},
        descriptors, endpoint, engine_settings, logging,
        notify::{READY, STOPPING, notify},
        only, start,
    },
};

/// Serves until the service is told to leave, or is idle: with these engines, and those of this build.
///
/// # Errors
/// The sentence to be shown.
pub(crate) fn run(
    options: &Options,
    endpoint: &Path,
    config_path: Option<&Path>,
    mut engines: Vec<Arc<dyn Engine>>,
) -> Result<ExitCode, String> {
    prepare(options)?;
    let config = Config::load(config_path).map_err(|e| e.to_string())?;
    let root = endpoint::state_root(endpoint);
    let state_root = StateRoot::make(endpoint, &root)?;
    let log = options.serve.then(|| root.join(logging::FILE));
    logging::start(config.log.as_deref(), log)?;
    tell_of_settings(&config);
    let Some(_lock) = only::lock(&root)? else {
        return start::another_serves(options, endpoint);
    };
    let (settings, _claim) = settle(&config, endpoint, &root)?;
    let _own_group = options.serve.then(|| OwnGroup::join(&settings));
    let inherited = Listener::inherited()?;
    let (log, cpu_groups) = (open_log(&root, &config)?, open_cpu_groups(&root)?);
    // Before any thread exists. What is the service's own comes after it: containers keep the limit that the
    // administrator gave, and the score and the capabilities are not theirs.
    let helpers = Helpers::start(&settings, options.serve)?;
    descriptors::raise_limit(&root)?;
    engines::keep_to_itself(options.serve);
    let opening = Opening {
        options,
        endpoint,
        access: access(&config)?,
        inherited,
        state_root,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WAITING_THREADS)
        .build()
        .map_err(|e| format!("the runtime cannot be started: {e}"))?;
    let registry = settings.places.clone();
    let machines = engine_settings::for_machines(&config, endpoint);
    engines.extend(helpers.engines(settings, machines)?);
    closing::start().map_err(|e| format!("a thread cannot be started: {e}"))?;
    let owner = endpoint::network_owner(endpoint);
    let networks = Networks::open(
        &root,
        owner,
        config.default_network.unwrap_or_default() == DefaultNetwork::Nat,
    );
    let context = Context::new(config, root, log, engines, networks);
    forget_other_places(&runtime, registry);
    let served = LocalSet::new().block_on(&runtime, opening.open(context, cpu_groups));
    // Calls that never return must not keep the service from leaving, even where it could not open.
    runtime.shutdown_background();
    served?;
    Ok(ExitCode::SUCCESS)
}

/// How the service opens, once it has all that it serves with.
struct Opening<'a> {
    options: &'a Options,
    endpoint: &'a Path,
    access: Access,
    /// The socket that the service was started with.
    inherited: Option<Listener>,
    state_root: StateRoot,
}

impl Opening<'_> {
    /// Takes over what an earlier service left, opens the door, and serves until the end.
    async fn open(self, context: Rc<Context>, cpu_groups: CpuGroups) -> Result<(), String> {
        let Self {
            options,
            endpoint,
            access,
            inherited,
            state_root,
        } = self;
        let entitled = Entitled {
            owner: access.owner,
            guarded: match (&inherited, access.group) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(_), Some(group)) => listener::is_guarded(endpoint, group),
            },
            containers: context.config().clients_in_containers,
        };
        let idle = options.idle_exit;
        adopt::note_last_exit(&context);
        context.log.append(event(Kind::ServiceStarted));
        cpu_groups::restore(&cpu_groups, &context.engines).await;
        adopt::adopt_all(&context)
            .await
            .map_err(|failure| failure.to_string())?;
        let listener = match inherited {
            Some(listener) => listener,
            None => Listener::bind(endpoint, access)?,
        };
        // What was read and made on the way here was in that directory.
        state_root.check(&context.root)?;
        let unheard = Unheard::default();
        let lobby = Lobby::open(listener, entitled, &unheard)
            .map_err(|e| format!("the socket cannot be watched: {e}"))?;
        info!(endpoint = %endpoint.display(), "serving");
        start::report_ready(options)?;
        notify(READY);
        let service = Service::new(context, cpu_groups, entitled);
        service.forget_earlier_calls();
        // A task of its own, as what is awaited here is looked at whenever any task wakes up.
        let serving = async move { serve(&service, lobby, unheard, idle).await };
        match tokio::task::spawn_local(serving).await {
            Ok(served) => served,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(format!("serving was given up: {error}")),
            },
        }
    }
}

/// Logs which settings mean nothing, or nothing where they are.
fn tell_of_settings(config: &Config) {
    if !config.moved.is_empty() {
        let settings = config.moved.join(", ");
        info!(
            "settings of containers belong into the section [container] of the configuration by now: {settings}"
        );
    }
    for unused in &config.unused {
        info!("a setting of the configuration means nothing any more: {unused}");
    }
}

/// The settings of containers, of which the host and other services know then, and what keeps others from using the
/// same names.
fn settle(
    config: &Config,
    endpoint: &Path,
    root: &Path,
) -> Result<(ContainerSettings, Claim), String> {
    let mut settings = engine_settings::for_containers(config, endpoint);
    files::make_scratch_root(&settings.scratch_root, root)?;
    // A service that is refused tells others nothing.
    let claim = engines::claim(&settings, root)?;
    if let Err(e) = settings.publish_places(root) {
        warn!("other services do not keep the directories of this one from their containers: {e}");
    }
    if engines::lacks_groups() {
        warn!(
            "no control groups are mounted where this service runs: nothing limits what containers take, and no device \
             rules hold; stop the service, and start it where /sys/fs/cgroup is mounted"
        );
    }
    engines::confine(&mut settings);
    Ok((settings, claim))
}

/// Forgets what services that are gone told others. Their directories may lie in file systems that do not answer, so
/// nothing waits for it.
fn forget_other_places(runtime: &Runtime, registry: PathBuf) {
    let _goes_on_by_itself = runtime.spawn_blocking(move || {
        if let Err(e) = places::prune(&registry) {
            warn!("what services that are gone told others is not forgotten: {e}");
        }
    });
}

/// What the process is before it does anything.
fn prepare(options: &Options) -> Result<(), String> {
    if options.serve {
        start::detach()?;
    }
    // Everything has a mode of its own. This is for a service that no starter has started.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::thread::set_name(c"hcsd").map_err(|e| format!("the service cannot be named: {e}"))
}

/// The signals that a service obeys.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// A service of a terminal goes with it; any other one reads its configuration again.
    has_terminal: bool,
}

impl Signals {
    fn watch() -> Result<Self, String> {
        let watch = |kind| signal(kind).map_err(|e| format!("signals cannot be watched: {e}"));
        Ok(Self {
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
            hangup: watch(SignalKind::hangup())?,
            has_terminal: io::stdin().is_terminal(),
        })
    }

    /// Returns when one of them ends the service, with the reason. May be dropped and called again.
    async fn leaving(&mut self, service: &Service) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "told to leave",
                _ = self.interrupt.recv() => return "interrupted",
                _ = self.hangup.recv() => {
                    if self.has_terminal {
                        return "its terminal is gone";
                    }
                    // What is wrong has been logged.
                    let _told = service.reload();
                }
            }
        }
    }
}

async fn serve(
    service: &Rc<Service>,
    lobby: Lobby,
    unheard: Unheard,
    idle: Option<Option<u64>>,
) -> Result<(), String> {
    let mut signals = Signals::watch()?;
    let door = Door {
        engines: service.context.engines.clone(),
        entitled: Rc::clone(&service.entitled),
        permits: Rc::clone(&service.permits),
        unheard,
        serve: |socket, peer, refused| {
            Connection::serve(socket, peer, refused, Rc::clone(service), &Router)
        },
    };
    let idle = async {
        match idle {
            Some(seconds) => quiet(&service.context, &door.permits, seconds).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(idle);
    loop {
        let why = tokio::select! {
            next = lobby.next() => {
                door.welcome_all(next, || lobby.waiting());
                // However many come, those that are here are served.
                tokio::task::yield_now().await;
                continue;
            }
            () = &mut idle => "idle",
            () = service.leaving() => "told to leave by a client",
            why = signals.leaving(service) => why,
        };
        info!("{why}, leaving; compute systems go on");
        break;
    }
    // A client that connected in the last instant finds its connection closed and starts another service.
    notify(STOPPING);
    // What they left in their sockets may take long to be closed.
    Closing::default().close(lobby.close());
    service.context.registry.close();
    service.context.clear_up().await;
    let limit = service.context.config().times.kill();
    service.context.networks.finish(limit).await;
    service.context.log.append(event(Kind::ServiceStopped));
    Ok(())
}

/// Returns when there has been no client, no system and nothing to be removed for this many seconds, or as many as are
/// configured.
async fn quiet(context: &Context, permits: &Permits, seconds: Option<u64>) {
    loop {
        let configured = || context.config().times.idle_seconds;
        let idle = Duration::from_secs(seconds.unwrap_or_else(configured));
        let change = async {
            tokio::select! {
                () = permits.change() => {}
                () = context.registry.change() => {}
                () = context.removals.progress() => {}
                // It may be about this time.
                () = context.reconfigured() => {}
            }
        };
        let quiet =
            permits.are_unused() && context.registry.is_quiet() && context.removals.are_done();
        if !quiet {
            change.await;
        } else if tokio::time::timeout(idle, change).await.is_err() {
            return;
        }
    }
}

fn open_log(root: &Path, config: &Config) -> Result<EventLog, String> {
    let directory = root.join("events");
    EventLog::open(&directory, config.limits.event_log_bytes).map_err(|e| {
        format!(
            "the event log in {} cannot be opened: {e}",
            directory.display()
        )
    })
}

fn open_cpu_groups(root: &Path) -> Result<CpuGroups, String> {
    CpuGroups::open(root).map_err(|e| {
        format!(
            "the groups of processors in {} cannot be read: {e}",
            root.display()
        )
    })
}

/// The users who may connect, as it is configured.
fn access(config: &Config) -> Result<Access, String> {
    let id = |key, name: &Option<String>, file| {
        let name = name.as_deref();
        name.map(|name| id_of(key, name, file)).transpose()
    };
    Ok(Access {
        owner: id("socket_owner", &config.socket_owner, "/etc/passwd")?,
        group: id("socket_group", &config.socket_group, "/etc/group")?,
        mode: config.socket_mode,
    })
}

/// The number of a user or group, from the third field of its line in `file`, or the number itself.
fn id_of(key: &str, name: &str, file: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let lines = fs::read_to_string(file).map_err(|e| format!("{file} cannot be read: {e}"))?;
    lines
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find_map(|fields| match fields[..] {
            [found, _, number, ..] if found == name => number.parse().ok(),
            _ => None,
        })
        .ok_or_else(|| format!("{key} = \"{name}\": there is no such name in {file}"))
}

//! The service itself, from its options to its end.

use std::{
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::Path,
    process::ExitCode,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use engine_container::{ContainerEngine, EngineConfig, Launcher, UserNamespaces, surroundings};
use hcs_engine::engine::Engine;
use hcs_schema::Failure;
use rustix::{
    fs::{FlockOperation, Mode, flock},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::{
    net::UnixStream,
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};
use tracing::{debug, error, info, warn};

use crate::{
    cli::Options,
    client::{
        connection::Connection,
        service::{DoorMat, Seat, Service},
    },
    door::{
        listener::{self, Accepting, Access, Listener},
        peers::{Entitled, Peer},
    },
    record::{
        event_log::{EventLog, Kind, event},
        files,
    },
    system::{adopt, context::Context},
    thread::{readiness::watch_stream, share::WAITING_THREADS},
    upkeep::{
        config::{Config, Ids},
        cpu_groups::{self, CpuGroups},
        endpoint, logging,
        notify::{READY, STOPPING, notify},
        start,
    },
};

/// How long accepting rests when there are no descriptors left.
const BREATH: Duration = Duration::from_millis(100);
/// How long somebody who may not use the service has to ask and to read the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until the service is told to leave, or is idle.
///
/// # Errors
/// The sentence to be shown.
pub(crate) fn run(
    options: &Options,
    endpoint: &Path,
    config_path: Option<&Path>,
) -> Result<ExitCode, String> {
    prepare(options)?;
    let config = Config::load(config_path).map_err(|e| e.to_string())?;
    let root = endpoint::state_root(endpoint);
    files::make_state_root(endpoint, &root)?;
    let log = options.serve.then(|| root.join(logging::FILE));
    logging::start(config.log.as_deref(), log)?;
    let Some(_lock) = lock(&root)? else {
        return start::somebody_else_serves(options, endpoint);
    };
    let engine_config = engine_config(&config, endpoint);
    let group_root = engine_config.cgroup_root.clone();
    let _own_group = options.serve.then(|| OwnGroup::join(&group_root));
    let inherited = Listener::inherited()?;
    let (log, cpu_groups) = (open_log(&root, &config)?, open_cpu_groups(&root)?);
    let launcher = start_launcher(options, &group_root)?;
    let engine = ContainerEngine::new(launcher, engine_config);
    let engines: Vec<Arc<dyn Engine>> = vec![Arc::new(engine)];
    let access = access(&config)?;
    let idle = options
        .idle_exit
        .map(|seconds| Duration::from_secs(seconds.unwrap_or(config.times.idle_seconds)));
    let guarded = match (&inherited, access.group) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(_), Some(group)) => listener::is_guarded(endpoint, group),
    };

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WAITING_THREADS)
        .build()
        .map_err(|e| format!("the runtime cannot be started: {e}"))?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let entitled = Entitled {
            owner: access.owner,
            guarded,
            containers: config.clients_in_containers,
        };
        let service = Service::new(
            Context::new(config, root, log, engines),
            cpu_groups,
            entitled,
        );
        service.context.log.append(event(Kind::ServiceStarted));
        cpu_groups::restore(&service.cpu_groups, &service.context.engines).await;
        adopt::adopt_all(&service.context)
            .await
            .map_err(|failure| failure.to_string())?;
        let listener = match inherited {
            Some(listener) => listener,
            None => Listener::bind(endpoint, access)?,
        };
        let accepting = listener
            .listen()
            .map_err(|e| format!("the socket cannot be watched: {e}"))?;
        info!(endpoint = %endpoint.display(), "serving");
        start::report_ready(options)?;
        notify(READY);
        // A task of its own, as what is awaited here is looked at whenever any task wakes up.
        let serving = async move { serve(&service, accepting, idle).await };
        match tokio::task::spawn_local(serving).await {
            Ok(served) => served,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(format!("serving was given up: {error}")),
            },
        }
    })?;
    // Engine calls that never return must not keep the service from leaving.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
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

/// The launcher, before any thread exists: what it starts from is a copy of this process. What is the service's own comes
/// after it: containers keep the limit that the administrator gave, and the score and the capabilities are not theirs.
fn start_launcher(options: &Options, group_root: &str) -> Result<Launcher, String> {
    for sentence in surroundings::remaining(options.serve) {
        info!("{sentence}");
    }
    let launcher = if options.serve {
        surroundings::outside(group_root, Launcher::spawn)
    } else {
        Launcher::spawn()
    };
    let launcher =
        launcher.map_err(|failure| format!("the launcher cannot be started: {failure}"))?;
    raise_descriptor_limit();
    if options.serve {
        surroundings::protect();
    }
    if let Err(e) = surroundings::give_up_capabilities() {
        warn!("capabilities that are of no use cannot be given up: {e}");
    }
    Ok(launcher)
}

/// While it exists, a service that a client started is in a control group of its own.
struct OwnGroup<'a> {
    root: &'a str,
}

impl<'a> OwnGroup<'a> {
    fn join(root: &'a str) -> Self {
        for sentence in surroundings::settle(root) {
            warn!("{sentence}");
        }
        Self { root }
    }
}

impl Drop for OwnGroup<'_> {
    fn drop(&mut self) {
        surroundings::leave(self.root);
    }
}

fn engine_config(config: &Config, endpoint: &Path) -> EngineConfig {
    EngineConfig {
        cgroup_root: config
            .cgroup_root
            .clone()
            .unwrap_or_else(|| endpoint::cgroup_root(endpoint)),
        scratch_root: config
            .scratch_root
            .clone()
            .unwrap_or_else(|| endpoint::scratch_root(endpoint)),
        scratch_limit: config.scratch_limit(),
        pids_limit: match config.processes_per_container {
            Some(0) => None,
            Some(limit) => Some(limit),
            None => EngineConfig::default().pids_limit,
        },
        hidden: vec![endpoint::state_root(endpoint)],
        socket_directory: endpoint::socket_directory(endpoint),
        host_view: config.host_view.view(),
        user_namespaces: user_namespaces(config),
        ids_in_use: EngineConfig::default().ids_in_use,
    }
}

fn user_namespaces(config: &Config) -> UserNamespaces {
    let ids = config.user_namespace_ids.map(Ids::range);
    let of_host = UserNamespaces::of_host();
    UserNamespaces {
        by_default: config.user_namespaces,
        users: ids.unwrap_or(of_host.users),
        groups: ids.unwrap_or(of_host.groups),
    }
}

async fn serve(
    service: &Rc<Service>,
    mut accepting: Accepting,
    idle: Option<Duration>,
) -> Result<(), String> {
    let watch = |kind| signal(kind).map_err(|e| format!("signals cannot be watched: {e}"));
    let (mut terminate, mut interrupt) = (
        watch(SignalKind::terminate())?,
        watch(SignalKind::interrupt())?,
    );
    let idle = async {
        match idle {
            Some(idle) => service.idle(idle).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(idle);
    loop {
        tokio::select! {
            accepted = accepting.accept() => match accepted {
                Ok(socket) => {
                    welcome(service, socket);
                    // However many come, those that are here are served.
                    tokio::task::yield_now().await;
                }
                Err(e) => {
                    warn!("no client can be accepted for now: {e}");
                    tokio::time::sleep(BREATH).await;
                }
            },
            () = &mut idle => {
                info!("idle, leaving");
                break;
            }
            _ = terminate.recv() => {
                info!("told to leave; compute systems go on");
                break;
            }
            _ = interrupt.recv() => {
                info!("interrupted; compute systems go on");
                break;
            }
        }
    }
    // A client that connected in the last instant finds its connection closed and starts another service.
    notify(STOPPING);
    drop(accepting.retire());
    service.context.clear_up().await;
    service.context.log.append(event(Kind::ServiceStopped));
    Ok(())
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

fn welcome(service: &Rc<Service>, socket: OwnedFd) {
    let introduce = || -> io::Result<_> {
        let stream = UnixStream::from_std(socket.into())?;
        Ok((
            Peer::of(&stream, &service.context.engines)?,
            OwnedFd::from(stream.into_std()?),
        ))
    };
    let (peer, socket) = match introduce() {
        Ok(introduced) => introduced,
        Err(e) => return error!("a client cannot be served: {e}"),
    };
    if peer.authorise(service.entitled).is_err() {
        return turn_away(service, socket, peer, None);
    }
    let seat = match service.seat(peer.uid) {
        Ok(seat) => seat,
        Err(failure) => {
            service.turns_away(&peer, &failure);
            return turn_away(service, socket, peer, Some(failure));
        }
    };
    match watch_stream(socket) {
        Ok(socket) => {
            let service = Rc::clone(service);
            tokio::task::spawn_local(async move {
                let _seat: Seat = seat;
                Connection::serve(Rc::new(socket), peer, None, service).await;
            });
        }
        Err(e) => error!("a client cannot be served: {e}"),
    }
}

/// Tells somebody who may not use the service, or not now for the reason in `why`, why not, if they ask soon. Whatever
/// they do takes nothing from clients, the lines of the log included.
fn turn_away(service: &Rc<Service>, socket: OwnedFd, peer: Peer, why: Option<Failure>) {
    let Some(door_mat) = service.door_mat() else {
        return debug!(
            ?peer,
            "a stranger is turned away without a word: there are too many"
        );
    };
    match watch_stream(socket) {
        Ok(socket) => {
            let service = Rc::clone(service);
            tokio::task::spawn_local(async move {
                let _door_mat: DoorMat = door_mat;
                let told = Connection::serve(Rc::new(socket), peer, why, service);
                if tokio::time::timeout(PATIENCE, told).await.is_err() {
                    debug!(?peer, "a stranger said nothing and is turned away");
                }
            });
        }
        Err(e) => debug!(?peer, "a stranger cannot be told: {e}"),
    }
}

/// As many descriptors as the system allows: every process's pipes pass through here.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        warn!("the limit on descriptors stays at {:?}: {e}", limit.current);
    }
}

/// The lock that makes this the only service of its endpoint; `None` when another holds it. Whoever may open its file
/// could hold it (`flock(2)` asks for no more) and keep every service away.
fn lock(root: &Path) -> Result<Option<File>, String> {
    let path = root.join(start::LOCK);
    let failed = |e: io::Error| format!("{} cannot be locked: {e}", path.display());
    let mut options = files::options();
    let file = options.create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(failed)?;
    // Where an earlier version made it.
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(failed(e.into())),
    }
}

/// Who may connect, as it is configured.
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

//! What docker and podman have kept of a user's credentials, and the helpers that keep them elsewhere.
//!
//! Files are asked in the order of podman: `$REGISTRY_AUTH_FILE`, `auth.json` of the session, that of the user, and
//! last docker's `config.json`. In each the most exact name counts, and a helper of a registry before what is in the
//! file.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hcs_wire::{environment, subordinate::user_outside};
use rustix::process::geteuid;
use serde::Deserialize;

use crate::{
    error::{RegistryError, shown},
    settings::text,
};

/// How long a helper may take: it may ask its user.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a helper that has answered is looked at for its end.
const OFTEN: Duration = Duration::from_millis(5);
/// Bytes of a helper's answer, at most.
const LARGEST: u64 = 64 << 10;
/// The user name by which a helper says that the secret is a token.
const TOKEN: &str = "<token>";
/// What docker calls its registry in its files, and asks helpers for.
const HUB: &str = "https://index.docker.io/v1/";

/// The files in which credentials are looked for, the first one first.
#[derive(Clone, Debug, Default)]
pub struct CredentialFiles(Vec<PathBuf>);

/// What a registry is told of its user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// A user and a password.
    Basic { user: String, password: String },
    /// A token to get others by.
    Identity(String),
}

/// Shows no secret.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    username: String,
    secret: String,
}

impl CredentialFiles {
    /// Those in `files`; one that is not there is passed over.
    #[must_use]
    pub const fn of(files: Vec<PathBuf>) -> Self {
        Self(files)
    }

    /// Those of this user. A program with more rights than its caller looks at no place that a variable names.
    #[must_use]
    pub fn of_caller() -> Self {
        let path = |name: &str| environment::variable(name).map(PathBuf::from);
        let home = path("HOME");
        let session = path("XDG_RUNTIME_DIR");
        let session = session.map_or_else(
            // Podman has no folder of its own there.
            || format!("/run/containers/{}", user_outside()).into(),
            |session| session.join("containers"),
        );
        let config = path("XDG_CONFIG_HOME");
        let config = config.or_else(|| home.as_ref().map(|home| home.join(".config")));
        let docker = path("DOCKER_CONFIG");
        let docker = docker.or_else(|| home.map(|home| home.join(".docker")));
        let own = [
            path("REGISTRY_AUTH_FILE"),
            Some(session.join("auth.json")),
            config.map(|config| config.join("containers/auth.json")),
            docker.map(|docker| docker.join("config.json")),
        ];
        Self(own.into_iter().flatten().collect())
    }

    /// The credentials for `repository` of the registry `host`; none where there are none.
    ///
    /// # Errors
    /// A file or a helper that is there cannot be used.
    pub(crate) fn find(
        &self,
        host: &str,
        repository: &str,
    ) -> Result<Option<Login>, RegistryError> {
        for path in &self.0 {
            let Some(text) = text(path)? else {
                continue;
            };
            let failed = |why: String| RegistryError::File {
                path: path.clone(),
                why,
            };
            let file: File = serde_json::from_str(&text)
                // The text of its failure could have a part of a secret.
                .map_err(|error| {
                    failed(format!(
                        "it is no JSON of credentials, at line {}",
                        error.line()
                    ))
                })?;
            if let Some(login) = in_file(&file, host, repository, failed)? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

fn in_file(
    file: &File,
    host: &str,
    repository: &str,
    failed: impl Fn(String) -> RegistryError,
) -> Result<Option<Login>, RegistryError> {
    let helper = file
        .cred_helpers
        .iter()
        .find(|(name, _)| plain(name) == host);
    if let Some((_, helper)) = helper {
        return ask(helper, host);
    }
    let wanted = format!("{host}/{repository}");
    let fits = |name: &str| {
        let rest = wanted.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let fitting = file.auths.iter().filter(|(name, _)| fits(&plain(name)));
    let best = fitting.max_by_key(|(name, _)| plain(name).len());
    if let Some((name, auth)) = best
        && let Some(login) =
            login(auth).map_err(|why| failed(format!("of {}: {why}", shown(name))))?
    {
        return Ok(Some(login));
    }
    match &file.creds_store {
        Some(helper) => ask(helper, host),
        None => Ok(None),
    }
}

/// The name of a registry as requests have it; docker's own has several.
fn plain(name: &str) -> String {
    let name = name
        .strip_prefix("https://")
        .or_else(|| name.strip_prefix("http://"))
        .unwrap_or(name);
    let name = name.trim_end_matches('/');
    let name = name
        .strip_suffix("/v1")
        .or_else(|| name.strip_suffix("/v2"))
        .unwrap_or(name);
    let (host, rest) = name
        .split_once('/')
        .map_or((name, ""), |(host, _)| (host, &name[host.len()..]));
    match host {
        "docker.io" | "index.docker.io" => format!("registry-1.docker.io{rest}"),
        _ => name.to_owned(),
    }
}

/// What a file says itself; none where it leaves that to a helper.
fn login(auth: &Auth) -> Result<Option<Login>, &'static str> {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(token) = said(&auth.identitytoken) {
        return Ok(Some(Login::Identity(token)));
    }
    if let (Some(user), Some(password)) = (said(&auth.username), said(&auth.password)) {
        return Ok(Some(Login::Basic { user, password }));
    }
    let Some(auth) = said(&auth.auth) else {
        return Ok(None);
    };
    const BAD: &str = "auth is not USER:PASSWORD in base64";
    let bytes = STANDARD.decode(auth).map_err(|_| BAD)?;
    let text = String::from_utf8(bytes).map_err(|_| BAD)?;
    let (user, password) = text.split_once(':').ok_or(BAD)?;
    Ok(Some(Login::Basic {
        user: user.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    }))
}

/// Asks `docker-credential-NAME`.
fn ask(helper: &str, host: &str) -> Result<Option<Login>, RegistryError> {
    let program = format!("docker-credential-{}", shown(helper));
    // What keeps a user's secrets may ask which user asks, and a user namespace says root.
    let is_seeming_root = geteuid().is_root() && !environment::is_root();
    let failed = |why: String| RegistryError::Helper {
        program: program.clone(),
        why: match is_seeming_root {
            true => format!(
                "{why} (it ran as root of a user namespace, as images of a user with ids of /etc/subuid are unpacked there; \
                 if it works outside, log in without a helper)"
            ),
            false => why,
        },
    };
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if helper.is_empty() || !helper.chars().all(allowed) {
        return Err(failed(
            "its name may have letters, digits and `-_.` only".to_owned(),
        ));
    }
    // It is found by PATH, which the caller of such a program has set.
    if environment::is_elevated() {
        return Err(failed(
            "no helper is started by a program with more rights than its caller: run it without those, or log in without a \
             helper"
                .to_owned(),
        ));
    }
    let child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    let server = match host {
        "registry-1.docker.io" => HUB,
        host => host,
    };
    if let Some(mut stdin) = child.stdin.take() {
        // What the helper does not read it does not need.
        let _unread = stdin.write_all(server.as_bytes());
    }
    let (text, ended) = told(&mut child, PATIENCE).map_err(failed)?;
    if !ended.success() {
        return match text.contains("credentials not found") {
            true => Ok(None),
            false => Err(failed(format!("{ended}: {}", shown(text.trim())))),
        };
    }
    let told: Told = serde_json::from_str(&text)
        .map_err(|_| failed("its answer is no JSON with Username and Secret".to_owned()))?;
    Ok(Some(match told.username.as_str() {
        TOKEN => Login::Identity(told.secret),
        _ => Login::Basic {
            user: told.username,
            password: told.secret,
        },
    }))
}

/// What a helper says, and how it ends. It is killed where that takes longer than `patience`.
fn told(child: &mut Child, patience: Duration) -> Result<(String, ExitStatus), String> {
    let begun = Instant::now();
    let answered = answer(child, patience);
    // Its output may end, or be of another process, long before or after it ends.
    while answered.is_some() && begun.elapsed() < patience {
        match child.try_wait() {
            Ok(None) => thread::sleep(OFTEN),
            Ok(Some(ended)) => return Ok((answered.unwrap_or_default(), ended)),
            Err(error) => return Err(error.to_string()),
        }
    }
    let _killed = child.kill();
    let _reaped = child.wait();
    Err(format!("it did not answer and end within {patience:?}"))
}

/// What a helper says until its output ends; none where that takes too long.
fn answer(child: &mut Child, patience: Duration) -> Option<String> {
    let stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.take(LARGEST).read_to_string(&mut text);
        // A receiver that has given up needs no answer.
        let _late = sender.send(read.map(|_| text).unwrap_or_default());
    });
    receiver.recv_timeout(patience).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(text: &str, host: &str, repository: &str) -> Result<Option<Login>, String> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config.json");
        fs::write(&path, text).unwrap();
        let files = CredentialFiles(vec![place.path().join("none"), path]);
        files
            .find(host, repository)
            .map_err(|error| error.to_string())
    }

    fn basic(user: &str) -> Option<Login> {
        let password = "pass:word".to_owned();
        let user = user.to_owned();
        Some(Login::Basic { user, password })
    }

    fn encoded(user: &str) -> String {
        STANDARD.encode(format!("{user}:pass:word"))
    }

    #[test]
    fn the_most_exact_name_counts() {
        let (all, team, hub) = (encoded("all"), encoded("team"), encoded("hub"));
        let text = format!(
            r#"{{"auths": {{"https://host:5000/v2/": {{"auth": "{all}"}}, "host:5000/team": {{"auth": "{team}"}},
                 "{HUB}": {{"auth": "{hub}"}}, "token": {{"identitytoken": "secret"}}}}}}"#
        );
        let find = |host, repository| found(&text, host, repository).unwrap();
        assert_eq!(find("host:5000", "a"), basic("all"));
        assert_eq!(find("host:5000", "team/a"), basic("team"));
        assert_eq!(find("host:5000", "teams/a"), basic("all"));
        assert_eq!(find("registry-1.docker.io", "library/debian"), basic("hub"));
        assert_eq!(
            find("token", "a"),
            Some(Login::Identity("secret".to_owned()))
        );
        assert_eq!(find("host", "a"), None);
    }

    #[test]
    fn what_cannot_be_read_is_told_without_a_secret() {
        let told = found(r#"{"auths": {"host": {"auth": "c2VjcmV0"}}}"#, "host", "a").unwrap_err();
        assert!(
            told.contains("USER:PASSWORD") && !told.contains("c2VjcmV0"),
            "{told}"
        );
        let told = found("{\n\"secret", "host", "a").unwrap_err();
        assert!(
            told.contains("line 2") && !told.contains("secret"),
            "{told}"
        );
        for helper in ["../x", "", "a b"] {
            let text = format!(r#"{{"credsStore": "{helper}"}}"#);
            let told = found(&text, "host", "a").unwrap_err();
            assert!(told.contains("letters, digits"), "{told}");
        }
        let text = r#"{"credHelpers": {"host": "hcs-test-is-not-there"}}"#;
        let told = found(text, "host", "a").unwrap_err();
        assert!(
            told.contains("docker-credential-hcs-test-is-not-there"),
            "{told}"
        );
    }

    /// A variable by which the test below asks [`of_a_caller`] for its answer.
    const ASKED: &str = "HCS_TEST_CREDENTIALS";

    #[test]
    fn of_a_caller() {
        if std::env::var_os(ASKED).is_some() {
            println!("files: {:?}", CredentialFiles::of_caller());
            println!(
                "helper: {:?}",
                ask("evil", "host").map(|login| login.is_some())
            );
            let all = crate::connection::certificates(None);
            let trusted = all.iter().any(|certificate| certificate.der() == [1, 2, 3]);
            println!("trusted: {trusted}");
        }
    }

    /// Row S3: a program with a capability that its caller has not, which the caller's variables would lead elsewhere.
    #[test]
    fn a_program_with_more_rights_looks_for_nothing_where_its_caller_says() {
        use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
        // CAP_CHOWN, permitted and effective (`capabilities(7)`).
        const CAPABILITY: [u32; 5] = [0x0200_0001, 1, 0, 0, 0];
        if !geteuid().is_root() {
            return;
        }
        // Where set-user-ID programs have no effect, as in the /tmp of many hosts, such a program has no more rights.
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let mounted = rustix::fs::statvfs(place.path()).unwrap().f_flag;
        if mounted.contains(rustix::fs::StatVfsMountFlags::NOSUID) {
            return;
        }
        let (program, proof) = (place.path().join("program"), place.path().join("proof"));
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let helper = place.path().join("docker-credential-evil");
        fs::write(&helper, format!("#!/bin/sh\n: > {}\n", proof.display())).unwrap();
        let certificate = place.path().join("own.pem");
        let text = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        fs::write(&certificate, text).unwrap();
        for (path, mode) in [
            (place.path(), 0o777),
            (&program, 0o755),
            (&helper, 0o755),
            (&certificate, 0o644),
        ] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let named = [
            "HOME",
            "XDG_RUNTIME_DIR",
            "XDG_CONFIG_HOME",
            "DOCKER_CONFIG",
            "REGISTRY_AUTH_FILE",
            "PATH",
        ];
        let said = || {
            let output = Command::new(&program)
                .args(["--exact", "credentials::tests::of_a_caller", "--nocapture"])
                .envs(named.map(|name| (name, place.path())))
                .env(ASKED, "files")
                .env("SSL_CERT_FILE", &certificate)
                .current_dir("/")
                .uid(65534)
                .gid(65534)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let own = place.path().to_str().unwrap();
        let plain = said();
        assert!(plain.contains(own), "{plain}");
        assert!(plain.contains("trusted: true"), "{plain}");
        assert!(fs::remove_file(&proof).is_ok(), "{plain}");
        let value: Vec<u8> = CAPABILITY
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::setxattr(&program, "security.capability", &value, flags) {
            // Root of a user namespace may give none to a file of the host.
            Err(rustix::io::Errno::PERM) => return,
            set => set.unwrap(),
        }
        let elevated = said();
        assert!(
            elevated.contains("files: ") && !elevated.contains(own),
            "{elevated}"
        );
        assert!(
            elevated.contains("more rights than its caller"),
            "{elevated}"
        );
        assert!(elevated.contains("trusted: false"), "{elevated}");
        assert!(!proof.exists(), "{elevated}");
    }

    #[test]
    fn a_helper_that_answers_and_does_not_end_is_killed() {
        let helper = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdout(Stdio::piped());
            command.spawn().unwrap()
        };
        let mut child = helper("echo text; exec >&-; exec sleep 1000");
        assert!(told(&mut child, Duration::from_millis(300)).is_err());
        assert!(child.try_wait().unwrap().is_some());
        let mut child = helper("echo text");
        assert_eq!(told(&mut child, PATIENCE).unwrap().0, "text\n");
    }
}

//! Requests of a registry, with limits, and the redirects that they lead to.

use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use hcs_wire::environment;
use rustls_native_certs::CertificateResult;
use ureq::{
    Agent, Body,
    http::{Response, Uri, header, uri::Scheme},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};

use crate::{
    error::{RegistryError, shown},
    patience::{self, Patience},
};

/// Redirects that a request follows, at most.
const MOST_REDIRECTS: usize = 5;
/// How long a name, and then a connection, may take.
const CONNECTING: Duration = Duration::from_secs(20);
/// How long a document may take in all.
const DOCUMENT: Duration = Duration::from_secs(60);
/// Bytes of an error that are read.
const TOLD: u64 = 16 << 10;
/// Where distributions keep the certificates that the machine trusts: files of all of them, and a folder.
const TRUSTED: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
const TRUSTED_FOLDER: &str = "/etc/ssl/certs";
/// Where administrators keep certificates of single registries, as docker and podman do.
const CERTIFICATES: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// The way to one registry, and to what it redirects to.
#[derive(Debug)]
pub(crate) struct Connection {
    /// For the registry itself.
    agent: Agent,
    /// For other hosts, which have none of its certificates and exceptions.
    away: OnceLock<Agent>,
    stall: Duration,
    /// Scheme, host and port: the server there may have the credentials.
    home: Uri,
    /// Whether the registry may be without TLS.
    insecure: bool,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RegistryRequest<'a> {
    pub(crate) accept: &'a [&'a str],
    pub(crate) authorization: Option<&'a str>,
    /// The first byte that is wanted.
    pub(crate) from: u64,
    /// Whether it is a content, which may take as long as it comes.
    pub(crate) is_content: bool,
    /// What says whether it is made again where the registry is busy; it is not without.
    pub(crate) patience: Option<&'a Patience<'a>>,
    /// Set when its answer is not wanted any more.
    pub(crate) stop: Option<&'a AtomicBool>,
}

impl Connection {
    /// The way to the registry at `host`. A read or write that takes longer than `stall` fails. Makes no connection
    /// yet.
    pub(crate) fn new(
        scheme: &str,
        host: &str,
        insecure: bool,
        stall: Duration,
    ) -> Result<Self, RegistryError> {
        let home = format!("{scheme}://{host}/v2/");
        let home: Uri = home
            .parse()
            .map_err(|_| RegistryError::refused(host, "it is no name of a host"))?;
        if home.host().is_none_or(str::is_empty) {
            return Err(RegistryError::refused(host, "it is no name of a host"));
        }
        let roots = if scheme == "https" {
            Some(certificates(Some(host)))
        } else {
            None
        };
        Ok(Self {
            agent: agent(roots, insecure, stall),
            away: OnceLock::new(),
            stall,
            home,
            insecure,
        })
    }

    /// What asks for `address`.
    fn agent(&self, address: &Uri) -> &Agent {
        match self.is_home(address) {
            true => &self.agent,
            false => self
                .away
                .get_or_init(|| agent(Some(certificates(None)), false, self.stall)),
        }
    }

    /// The status of the registry's first page, wherever that may redirect to: it shows how the registry is spoken to.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) fn greet(&self, patience: &Patience<'_>) -> Result<u16, RegistryError> {
        let request = RegistryRequest {
            patience: Some(patience),
            ..RegistryRequest::default()
        };
        let answer = self.ask(&self.home, &request)?;
        Ok(answer.status().as_u16())
    }

    /// Whether it is without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.home.scheme() == Some(&Scheme::HTTP)
    }

    /// The address of `path` below the registry's own.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.home)
    }

    /// Whether `address` is of this registry.
    pub(crate) fn is_home(&self, address: &Uri) -> bool {
        origin(address) == origin(&self.home)
    }

    /// Whether `address` is of its host, whatever the port.
    pub(crate) fn is_of_host(&self, address: &Uri) -> bool {
        let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
        host(address) == host(&self.home)
    }

    /// Gets what is at `address`, after redirects. The authorization goes to the registry's own host alone.
    ///
    /// # Errors
    /// There is no answer, a redirect leads where it must not, or the place that it leads to asks for credentials: what
    /// that place names to get a token from is none of the registry's.
    pub(crate) fn get(
        &self,
        address: &str,
        request: &RegistryRequest<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut next = self.checked(address, address)?;
        for _ in 0..=MOST_REDIRECTS {
            let what = named("GET", &next);
            let answer = self.ask(&next, request)?;
            match answer.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => {}
                401 if !self.is_home(&next) => {
                    let why = "a place that it redirects to asks for credentials";
                    return Err(RegistryError::refused(&what, why));
                }
                _ => return Ok(answer),
            }
            let location = answer.headers().get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let location =
                location.ok_or_else(|| RegistryError::refused(&what, "it redirects to nowhere"))?;
            next = self.checked(&followed(&next, location), &what)?;
        }
        let why = format!("it redirects more than {MOST_REDIRECTS} times");
        Err(RegistryError::refused(address, why))
    }

    /// Asks for `address`, and for nothing that it leads to; again where the registry is busy.
    fn ask(
        &self,
        address: &Uri,
        request: &RegistryRequest<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut tries = 0;
        loop {
            let answer = self.ask_once(address, request)?;
            let again = |patience: &Patience<'_>| patience.wait(&answer, tries, request.stop);
            if !request.patience.is_some_and(again) {
                return Ok(answer);
            }
            tries += 1;
        }
    }

    fn ask_once(
        &self,
        address: &Uri,
        request: &RegistryRequest<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut call = self.agent(address).get(address);
        for accept in request.accept {
            call = call.header(header::ACCEPT, *accept);
        }
        if let Some(authorization) = request.authorization.filter(|_| self.is_home(address)) {
            call = call.header(header::AUTHORIZATION, authorization);
        }
        if request.from > 0 {
            call = call.header(header::RANGE, format!("bytes={}-", request.from));
        }
        let limit = (!request.is_content).then_some(DOCUMENT);
        let mut config = call.config().timeout_global(limit);
        if address.host().is_some_and(is_loopback) {
            // A proxy has another machine of that name.
            config = config.proxy(None);
        }
        let answer = config.build().call();
        answer.map_err(|source| RegistryError::Request {
            what: named("GET", address),
            source: Box::new(source),
        })
    }

    /// Sends a form, without following a redirect; the answer is a document.
    pub(crate) fn post(
        &self,
        address: &str,
        form: &[(&str, &str)],
    ) -> Result<Response<Body>, RegistryError> {
        let to = self.checked(address, address)?;
        let mut config = self
            .agent(&to)
            .post(&to)
            .config()
            .timeout_global(Some(DOCUMENT));
        if to.host().is_some_and(is_loopback) {
            config = config.proxy(None);
        }
        let sent = config.build().send_form(form.iter().copied());
        sent.map_err(|source| RegistryError::Request {
            what: named("POST", &to),
            source: Box::new(source),
        })
    }

    /// An address that may be asked.
    pub(crate) fn checked(&self, address: &str, what: &str) -> Result<Uri, RegistryError> {
        let refused = |why: &str| Err(RegistryError::refused(what, why));
        let Ok(uri) = address.parse::<Uri>() else {
            return refused("it leads to what is no address");
        };
        let named = uri
            .authority()
            .is_some_and(|host| !host.as_str().contains('@') && !host.host().is_empty());
        if !named {
            return refused("it leads to an address without a host, or with a user's name");
        }
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if self.may_be_plain(&uri) => Ok(uri),
            Some("http") if self.is_plain() => {
                refused("it leads from this machine to another one without TLS")
            }
            Some("http") => refused("it leads from TLS to a place without it"),
            _ => refused("it leads to an address of another protocol"),
        }
    }

    /// Whether `address`, which is without TLS, may be asked: the registry may be without, or is, and so are then the
    /// places that it leads to. That a registry of this machine needs no TLS says nothing of other machines.
    fn may_be_plain(&self, address: &Uri) -> bool {
        let local = |uri: &Uri| uri.host().is_some_and(is_loopback);
        let same = self.insecure && self.is_of_host(address);
        same || self.is_plain() && (self.insecure || !local(&self.home) || local(address))
    }
}

/// What asks, with limits. `roots` are the certificates that are trusted; none where TLS is not used.
fn agent(roots: Option<Vec<Certificate<'static>>>, insecure: bool, stall: Duration) -> Agent {
    let mut tls = TlsConfig::builder().provider(TlsProvider::Rustls);
    if let Some(roots) = roots {
        tls = tls
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .disable_verification(insecure);
    }
    let mut config = Agent::config_builder();
    if environment::is_elevated() {
        // The caller's variables would name one.
        config = config.proxy(None);
    }
    let config = config
        .tls_config(tls.build())
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("hcs/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECTING))
        .timeout_connect(Some(CONNECTING))
        .timeout_send_request(Some(stall))
        .timeout_recv_response(Some(stall))
        .timeout_per_read(Some(stall))
        .timeout_per_write(Some(stall));
    config.build().new_agent()
}

/// A request for messages: without the query, which may have the signature of a redirect.
fn named(method: &str, address: &Uri) -> String {
    let scheme = address.scheme_str().unwrap_or_default();
    let host = address
        .authority()
        .map_or("", |authority| authority.as_str());
    shown(&format!("{method} {scheme}://{host}{}", address.path()))
}

/// Whether `host`, with a port or without, is this machine, where no other one listens on the way.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The address that a redirect from `base` leads to.
fn followed(base: &Uri, location: &str) -> String {
    let scheme = base.scheme_str().unwrap_or("https");
    let host = base.authority().map_or("", |authority| authority.as_str());
    match location {
        _ if location.starts_with("//") => format!("{scheme}:{location}"),
        _ if location.starts_with('/') => format!("{scheme}://{host}{location}"),
        _ => location.to_owned(),
    }
}

/// Scheme, host and port.
fn origin(address: &Uri) -> (Option<&str>, Option<String>, u16) {
    let usual = if address.scheme() == Some(&Scheme::HTTP) {
        80
    } else {
        443
    };
    let host = address.host().map(str::to_ascii_lowercase);
    (
        address.scheme_str(),
        host,
        address.port_u16().unwrap_or(usual),
    )
}

/// The certificates that are trusted for `host`: those of the machine, and its own.
pub(crate) fn certificates(host: Option<&str>) -> Vec<Certificate<'static>> {
    // What cannot be read of them is missed by the connection, which tells of an unknown issuer.
    let found = if environment::is_elevated() {
        of_machine()
    } else {
        rustls_native_certs::load_native_certs()
    };
    let mut all: Vec<_> = found
        .certs
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    let folders = host.map(|host| CERTIFICATES.map(|folder| Path::new(folder).join(host)));
    for folder in folders.into_iter().flatten() {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let files = files.map(|entry| entry.path());
        for path in files.filter(|path| path.extension().is_some_and(|end| end == "crt")) {
            let text = fs::read(&path).unwrap_or_default();
            all.extend(parse_pem(&text).flatten().filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            }));
        }
    }
    all
}

/// The certificates of the machine alone, whatever the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name: the caller of
/// a program with more rights has set those.
fn of_machine() -> CertificateResult {
    let file = TRUSTED
        .map(Path::new)
        .into_iter()
        .find(|path| path.is_file());
    let folder = file.is_none().then(|| Path::new(TRUSTED_FOLDER));
    rustls_native_certs::load_certs_from_paths(file, folder)
}

/// A document of at most `limit` bytes.
///
/// # Errors
/// It has more, or does not come.
pub(crate) fn document(
    answer: Response<Body>,
    limit: u64,
    what: &str,
) -> Result<Vec<u8>, RegistryError> {
    let body = answer.into_body().into_with_config();
    body.limit(limit.saturating_add(1))
        .read_to_vec()
        .map_err(|source| RegistryError::Request {
            what: shown(what),
            source: Box::new(source),
        })
}

/// The failure of an answer that is no success.
pub(crate) fn unsuccessful(answer: Response<Body>, what: &str) -> RegistryError {
    let status = answer.status().as_u16();
    let asked = patience::seconds(&answer);
    let told = document(answer, TOLD, what).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    let mut told = shown(told.trim());
    if let Some(seconds) = asked {
        told.push_str(&format!("; it asks to be left alone for {seconds} seconds"));
    }
    RegistryError::Status {
        what: shown(what),
        status,
        told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_where_it_may_only() {
        let secure = Connection::new("https", "h:1", false, CONNECTING).unwrap();
        let base: Uri = "https://h:1/v2/a".parse().unwrap();
        let goes = |location: &str| {
            let next = followed(&base, location);
            secure
                .checked(&next, "x")
                .map(|next| secure.is_home(&next))
                .map_err(|error| error.to_string())
        };
        assert_eq!(goes("/b?c=d"), Ok(true));
        assert_eq!(goes("https://H:1/b"), Ok(true));
        assert_eq!(goes("//h:2/b"), Ok(false));
        assert_eq!(goes("https://other/b"), Ok(false));
        for bad in [
            "http://h:1/b",
            "https://u:p@h:1/b",
            "file:///etc/passwd",
            "b",
            "",
            "https://",
        ] {
            assert!(goes(bad).is_err(), "{bad}");
        }
        let plain = Connection::new("http", "h", false, CONNECTING).unwrap();
        assert!(plain.checked("http://other/b", "x").is_ok());
        // Without TLS only because nothing is between: so it leads to no other machine.
        let own = Connection::new("http", "127.0.0.1:1", false, CONNECTING).unwrap();
        assert!(own.checked("http://localhost:2/b", "x").is_ok());
        assert!(own.checked("https://other/b", "x").is_ok());
        assert!(own.checked("http://other/b", "x").is_err());
        let insecure = Connection::new("https", "h:1", true, CONNECTING).unwrap();
        assert!(insecure.checked("http://h:2/b", "x").is_ok());
        assert!(insecure.checked("http://other/b", "x").is_err());
        for bad in ["", "a b", "a/b@c d"] {
            assert!(
                Connection::new("https", bad, false, CONNECTING).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_message_has_no_query() {
        let address: Uri = "https://h:1/a/b?X-Signature=secret".parse().unwrap();
        assert_eq!(named("GET", &address), "GET https://h:1/a/b");
    }

    #[test]
    fn loopback_is_known() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "localhost.example",
            "10.0.0.1:5000",
            "127.0.0.1.example",
            "example:5000",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}

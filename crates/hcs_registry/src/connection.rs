//! Requests of a registry, with limits, and the redirects that they lead to.

use std::{fs, path::Path, sync::Arc, time::Duration};

use ureq::{
    Agent, Body,
    http::{Response, Uri, header, uri::Scheme},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};

use crate::error::{RegistryError, shown};

/// Redirects that a request follows, at most.
const MOST_REDIRECTS: usize = 5;
/// How long a name, and then a connection, may take.
const CONNECTING: Duration = Duration::from_secs(20);
/// How long a document may take in all.
const DOCUMENT: Duration = Duration::from_secs(60);
/// Bytes of an error that are read.
const TOLD: u64 = 16 << 10;
/// Where administrators keep certificates of single registries, as docker and podman do.
const CERTIFICATES: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// The way to one registry, and to what it redirects to.
#[derive(Debug)]
pub(crate) struct Connection {
    agent: Agent,
    /// Scheme, host and port: whoever is there may have the credentials.
    home: Uri,
    /// Whether a redirect may lead to a place without TLS.
    insecure: bool,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request<'a> {
    pub(crate) accept: &'a [&'a str],
    pub(crate) authorization: Option<&'a str>,
    /// The first byte that is wanted.
    pub(crate) from: u64,
    /// Whether it is a content, which may take as long as it comes.
    pub(crate) is_content: bool,
}

impl Connection {
    /// The way to the registry at `host`. A read or write that takes longer than `stall` fails. Makes no connection yet.
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
        let mut tls = TlsConfig::builder().provider(TlsProvider::Rustls);
        if scheme == "https" {
            tls = tls
                .root_certs(RootCerts::Specific(Arc::new(certificates(host))))
                .disable_verification(insecure);
        }
        let config = Agent::config_builder()
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
        let agent = config.build().new_agent();
        Ok(Self {
            agent,
            home,
            insecure,
        })
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

    /// Gets what is at `address`, after redirects. The authorization goes to the registry's own host alone.
    ///
    /// # Errors
    /// There is no answer, or a redirect leads where it must not.
    pub(crate) fn get(
        &self,
        address: &str,
        request: &Request<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut next = self.checked(address, address)?;
        for _ in 0..=MOST_REDIRECTS {
            let what = shown(&format!("GET {next}"));
            let mut call = self.agent.get(&next);
            for accept in request.accept {
                call = call.header(header::ACCEPT, *accept);
            }
            if let Some(authorization) = request.authorization.filter(|_| self.is_home(&next)) {
                call = call.header(header::AUTHORIZATION, authorization);
            }
            if request.from > 0 {
                call = call.header(header::RANGE, format!("bytes={}-", request.from));
            }
            let limit = (!request.is_content).then_some(DOCUMENT);
            let answer = call.config().timeout_global(limit).build().call();
            let answer = answer.map_err(|source| RegistryError::Request {
                what: what.clone(),
                source: Box::new(source),
            })?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
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

    /// Sends a form, without following a redirect; the answer is a document.
    pub(crate) fn post(
        &self,
        address: &str,
        form: &[(&str, &str)],
    ) -> Result<Response<Body>, RegistryError> {
        let to = self.checked(address, address)?;
        let call = self
            .agent
            .post(&to)
            .config()
            .timeout_global(Some(DOCUMENT))
            .build();
        call.send_form(form.iter().copied())
            .map_err(|source| RegistryError::Request {
                what: shown(&format!("POST {to}")),
                source: Box::new(source),
            })
    }

    /// An address that may be asked.
    fn checked(&self, address: &str, what: &str) -> Result<Uri, RegistryError> {
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
            Some("http") if self.insecure || self.is_plain() => Ok(uri),
            Some("http") => refused("it leads from TLS to a place without it"),
            _ => refused("it leads to an address of another protocol"),
        }
    }
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
fn certificates(host: &str) -> Vec<Certificate<'static>> {
    // What cannot be read of them is missed by the connection, which tells of an unknown issuer.
    let found = rustls_native_certs::load_native_certs().certs;
    let mut all: Vec<_> = found
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    for folder in CERTIFICATES {
        let files = fs::read_dir(Path::new(folder).join(host))
            .into_iter()
            .flatten()
            .flatten();
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
    let told = document(answer, TOLD, what).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    RegistryError::Status {
        what: shown(what),
        status,
        told: shown(told.trim()),
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
        for bad in ["", "a b", "a/b@c d"] {
            assert!(
                Connection::new("https", bad, false, CONNECTING).is_err(),
                "{bad}"
            );
        }
    }
}

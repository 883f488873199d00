//! Requests of one registry, with the authorization that it asks for.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use ureq::{
    Body,
    http::{Response, Uri, header},
};

use crate::{
    challenge::Challenge,
    connection::{Connection, RegistryRequest, document, is_loopback, unsuccessful},
    credentials::{CredentialFiles, Login},
    error::RegistryError,
    patience::Patience,
    settings::Place,
};

/// Bytes of a token's document, at most.
const LARGEST_TOKEN: u64 = 1 << 20;

/// A registry, and what it has been told of us.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    connection: Connection,
    place: &'a Place,
    credentials: &'a CredentialFiles,
    stall: Duration,
    patience: Patience<'a>,
    /// The header that it has accepted, or is to accept.
    authorization: Mutex<Option<Header>>,
}

#[derive(Clone)]
struct Header(String);

/// Shows no secret.
impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Header")
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Session<'a> {
    /// Finds out how the registry at `place` is spoken to. TLS is tried first; a registry of this machine, and one that
    /// is configured as insecure, may be without.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(crate) fn open(
        place: &'a Place,
        credentials: &'a CredentialFiles,
        stall: Duration,
        patience: Patience<'a>,
    ) -> Result<Self, RegistryError> {
        let host = &place.host;
        let connection = |scheme| Connection::new(scheme, host, place.insecure, stall);
        let session = |connection, patience| Session {
            connection,
            place,
            credentials,
            stall,
            patience,
            authorization: Mutex::new(None),
        };
        let secure = connection("https")?;
        let failure = match secure.greet(&patience) {
            Ok(_) => return Ok(session(secure, patience)),
            Err(failure) => failure,
        };
        if !(place.insecure || is_loopback(host)) {
            return Err(failure);
        }
        let plain = connection("http")?;
        match plain.greet(&patience) {
            Ok(200 | 301..=308 | 401 | 403) => Ok(session(plain, patience)),
            // A registry with TLS answers so, and what was wrong with that says more.
            Ok(_) | Err(_) => Err(failure),
        }
    }

    /// How long the registry may say nothing.
    pub(crate) const fn stall(&self) -> Duration {
        self.stall
    }

    /// The host, for messages.
    pub(crate) fn host(&self) -> &str {
        &self.place.host
    }

    /// Gets `path` below the repository. An answer that is no success is a failure.
    ///
    /// # Errors
    /// As of [`Connection::get`]; it is not there, or access is refused.
    pub(crate) fn get(
        &self,
        path: &str,
        request: &RegistryRequest<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let address = self
            .connection
            .address(&format!("{}/{path}", self.place.repository));
        let what = format!("GET {address}");
        let mut known = self.known();
        for again in [true, false] {
            let authorization = known.as_ref().map(|header| header.0.as_str());
            let request = RegistryRequest {
                authorization,
                patience: Some(&self.patience),
                ..*request
            };
            let answer = self.connection.get(&address, &request)?;
            match answer.status().as_u16() {
                200 | 206 => return Ok(answer),
                401 if again => known = Some(self.authorize(&answer)?),
                401 | 403 => break,
                404 => {
                    return Err(RegistryError::NotFound {
                        host: self.host().to_owned(),
                        image: format!("{} ({path})", self.place.repository),
                    });
                }
                _ => return Err(unsuccessful(answer, &what)),
            }
        }
        Err(self.denied())
    }

    fn denied(&self) -> RegistryError {
        let login = self.login().ok().flatten();
        RegistryError::Denied {
            host: self.host().to_owned(),
            image: self.place.repository.clone(),
            hint: match login {
                Some(_) => " with the credentials that are kept for it, or has no such image",
                None => {
                    ", or has no such image; no credentials are kept for it, which `docker login`, `podman login` or \
                     `skopeo login` does"
                }
            },
        }
    }

    fn known(&self) -> Option<Header> {
        let known = self.authorization.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn login(&self) -> Result<Option<Login>, RegistryError> {
        self.credentials
            .find(&self.place.host, &self.place.repository)
    }

    /// What answers the challenge of `answer`.
    fn authorize(&self, answer: &Response<Body>) -> Result<Header, RegistryError> {
        let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE).iter();
        let challenges: Vec<&str> = challenges.filter_map(|value| value.to_str().ok()).collect();
        let challenge = Challenge::parse(&challenges.join(", "));
        let header = match challenge {
            Some(Challenge::Basic) => match self.login()? {
                Some(Login::Basic { user, password }) => basic(&user, &password),
                Some(Login::Identity(_)) | None => return Err(self.denied()),
            },
            Some(Challenge::Bearer {
                realm,
                service,
                scope,
            }) => {
                let scope =
                    scope.unwrap_or_else(|| format!("repository:{}:pull", self.place.repository));
                let token = self.token(&realm, service.as_deref(), &scope)?;
                Header(format!("Bearer {token}"))
            }
            None => {
                let why = "it asks for credentials of a kind that is not known here";
                return Err(RegistryError::refused(self.host(), why));
            }
        };
        let mut known = self
            .authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(header.clone());
        Ok(header)
    }

    /// Gets a token of the place that the registry names. Without TLS no other host than the registry's own is told of
    /// the user.
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<String, RegistryError> {
        let refused = |why: &str| RegistryError::refused(realm, why);
        let address: Uri = realm
            .parse()
            .map_err(|_| refused("it is no address to get a token from"))?;
        let scheme = address.scheme_str().unwrap_or_default();
        let authority = address
            .authority()
            .map_or("", |authority| authority.as_str());
        let own = self.connection.is_home(&address);
        let login = match (scheme, own) {
            ("https", _) | ("http", true) => self.login()?,
            ("http", false) if self.connection.checked(realm, realm).is_ok() => None,
            _ => return Err(refused("tokens are had by TLS only")),
        };
        let insecure = self.place.insecure && self.connection.is_of_host(&address);
        let place = Connection::new(scheme, authority, insecure, self.stall)?;
        let text = match login {
            Some(Login::Identity(token)) => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("service", service.unwrap_or_default()),
                    ("client_id", "hcs"),
                    ("scope", scope),
                    ("refresh_token", &token),
                ];
                self.told(place.post(realm, &form)?, realm)?
            }
            login => {
                let mut query = format!("scope={}", encoded(scope));
                if let Some(service) = service {
                    query = format!("service={}&{query}", encoded(service));
                }
                let separator = if realm.contains('?') { '&' } else { '?' };
                let header = match &login {
                    Some(Login::Basic { user, password }) => Some(basic(user, password)),
                    _ => None,
                };
                let request = RegistryRequest {
                    authorization: header.as_ref().map(|header| header.0.as_str()),
                    patience: Some(&self.patience),
                    ..RegistryRequest::default()
                };
                let answer = place.get(&format!("{realm}{separator}{query}"), &request)?;
                self.told(answer, realm)?
            }
        };
        let token: Token =
            serde_json::from_slice(&text).map_err(|_| refused("its answer has no token"))?;
        let token = token.token.or(token.access_token);
        let token = token
            .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        token.ok_or_else(|| refused("its answer has no token"))
    }

    fn told(&self, answer: Response<Body>, realm: &str) -> Result<Vec<u8>, RegistryError> {
        match answer.status().as_u16() {
            200 => document(answer, LARGEST_TOKEN, realm),
            401 | 403 => Err(self.denied()),
            _ => Err(unsuccessful(answer, realm)),
        }
    }
}

fn basic(user: &str, password: &str) -> Header {
    Header(format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    ))
}

/// A text as a part of a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_no_other_meaning() {
        assert_eq!(
            encoded("repository:a/b:pull&x=y #"),
            "repository%3Aa/b%3Apull%26x%3Dy%20%23"
        );
    }
}

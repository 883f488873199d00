//! The size that a query wants a picture of a screen in. Pictures are as large as the screen: another size is refused.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hcs_schema::{Failure, HResult, documents::ConsoleImageQuery};
use serde_json::Value;

/// Characters of a picture that its size is in: the signature of PNG, and the first part with both sides.
const BEGINNING: usize = 32;

/// JSON pointer of the size in a query.
const POINTER: &str = "/ConsoleImage";

/// Checks that the picture `answer` is as large as `asked`, where that names a size.
///
/// # Errors
/// It has another size, or the query is wrong, by JSON pointer.
pub(super) fn check(asked: &Value, answer: &Value) -> Result<(), Failure> {
    if asked.is_null() {
        return Ok(());
    }
    let asked: ConsoleImageQuery = hcs_schema::parse(&asked.to_string()).map_err(within_query)?;
    let sizes = [("Width", asked.width, 16), ("Height", asked.height, 20)];
    for (name, wanted, place) in sizes {
        let wanted = u32::from(wanted.unwrap_or_default());
        let found = side(answer, place);
        if wanted == 0 || found == Some(wanted) {
            continue;
        }
        let found = found.map_or("another number of".to_owned(), |found| found.to_string());
        let message = format!(
            "the screen has {found} pixels there and not {wanted}, and its picture is not scaled: ask for that size, or leave it \
             out"
        );
        let failure = Failure::new(HResult::NOT_SUPPORTED, message.clone());
        return Err(failure.cause_at(format!("{POINTER}/{name}"), message));
    }
    Ok(())
}

/// The same failure, with pointers into the whole query.
fn within_query(mut failure: Failure) -> Failure {
    for cause in &mut failure.causes {
        let Some(within) = &mut cause.pointer else {
            continue;
        };
        let whole = format!("{POINTER}{within}");
        // Both messages name the place.
        for message in [&mut failure.message, &mut cause.message] {
            *message = message.replacen(within.as_str(), &whole, 1);
        }
        *within = whole;
    }
    failure
}

/// A side of the picture, which stands at `place` of it.
fn side(answer: &Value, place: usize) -> Option<u32> {
    let text = answer["Image"].as_str()?.get(..BEGINNING)?;
    let bytes = STANDARD.decode(text).ok()?;
    let side = bytes.get(place..place + 4)?;
    Some(u32::from_be_bytes(side.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_picture_of_another_size_is_refused_by_pointer() {
        let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        picture.extend([0, 0, 4, 0, 0, 0, 3, 0, 8, 2]);
        let answer = json!({ "Image": STANDARD.encode(picture) });
        let refused = |asked: Value| {
            let refused = check(&asked, &answer).unwrap_err();
            assert_eq!(refused.hresult, HResult::NOT_SUPPORTED);
            refused.causes[0].pointer.clone().unwrap()
        };
        for fine in [
            Value::Null,
            json!({}),
            json!({ "Width": 0 }),
            json!({ "Width": 1024, "Height": 768 }),
        ] {
            check(&fine, &answer).unwrap();
        }
        assert_eq!(
            refused(json!({ "Width": 640, "Height": 768 })),
            "/ConsoleImage/Width"
        );
        assert_eq!(
            refused(json!({ "Width": 1024, "Height": 480 })),
            "/ConsoleImage/Height"
        );
        let wrong = check(&json!({ "Width": "x" }), &answer).unwrap_err();
        let pointer = wrong.causes[0].pointer.as_deref();
        assert_eq!(pointer, Some("/ConsoleImage/Width"));
        assert!(wrong.causes[0].message.starts_with("/ConsoleImage/Width "));
        check(&json!({ "Width": 1 }), &json!({})).unwrap_err();
    }
}

//! Functions of one value: identifiers and dates, by the rules of `model`.

use model::batch::days_of_date;
use model::ident;
use model::reading::{moment, number};

use super::super::words::Refusal;
use super::{Books, Given, Told};

type Answer = Result<Told, Refusal>;

fn first<'a>(given: &[Given<'a>]) -> &'a str {
    given.first().map_or("", |g| g.text())
}

fn said(error: &model::Error) -> Refusal {
    Refusal { zh: error.zh().to_owned(), en: error.en().to_owned() }
}

/// GB 11643-1999: a number of 15 gets the century 19 and a check character; one of 18 must be right.
pub(super) fn id15_to_18(_: &Books, given: &[Given<'_>]) -> Answer {
    ident::citizen_id_18(first(given).trim()).map(Told::Text).map_err(|e| said(&e))
}

pub(super) fn id_valid(_: &Books, given: &[Given<'_>]) -> Answer {
    Ok(Told::Truth(ident::citizen_id(first(given)).is_ok()))
}

pub(super) fn id_birthday(_: &Books, given: &[Given<'_>]) -> Answer {
    let id = ident::citizen_id_18(first(given).trim()).map_err(|e| said(&e))?;
    Ok(ident::citizen_birthday(&id).map_or(Told::Null, |d| Told::Day(days_of_date(d))))
}

/// GB/T 2261.1: 1 male, 2 female; the seventeenth digit is odd for men (GB 11643).
pub(super) fn id_sex(_: &Books, given: &[Given<'_>]) -> Answer {
    let id = ident::citizen_id_18(first(given).trim()).map_err(|e| said(&e))?;
    let digit = id.as_bytes().get(16).map_or(0, |b| b.wrapping_sub(b'0'));
    Ok(Told::Text(if digit % 2 == 1 { "1" } else { "2" }.to_owned()))
}

pub(super) fn uscc_valid(_: &Books, given: &[Given<'_>]) -> Answer {
    Ok(Told::Truth(ident::uscc(first(given)).is_ok()))
}

/// GB 32100: places 9 to 17 are the organisation code of GB 11714.
pub(super) fn uscc_org_code(_: &Books, given: &[Given<'_>]) -> Answer {
    let text = first(given).trim();
    ident::uscc(text).map_err(|e| said(&e))?;
    Ok(text.get(8..17).map_or(Told::Null, |code| Told::Text(code.to_owned())))
}

pub(super) fn date_of(_: &Books, given: &[Given<'_>]) -> Answer {
    let text = first(given).trim();
    if text.is_empty() {
        return Ok(Told::Null);
    }
    let rule = moment::DateRule::of_format(given.get(1).map_or("", |g| g.text()));
    match moment::moment(text, rule) {
        Ok(found) => Ok(Told::Day(found.days)),
        Err(why) => Err(Refusal { zh: why.zh.into_owned(), en: why.en.into_owned() }),
    }
}

pub(super) fn half_width(_: &Books, given: &[Given<'_>]) -> Answer {
    Ok(Told::Text(number::half_width(first(given)).into_owned()))
}

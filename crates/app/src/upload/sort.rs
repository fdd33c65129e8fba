//! What a file is, told by its content: the first bytes, and of a ZIP the names within. A name proves nothing.

use std::io::{Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

/// A kind of file that can be told by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileSort {
    Pdf,
    Ofd,
    Docx,
    Xlsx,
    Pptx,
    Zip,
    Png,
    Jpeg,
    Mp4,
}

/// Names within a ZIP that are looked at.
const NAMES: usize = 10_000;

impl FileSort {
    /// Ends of names, the usual one first.
    #[must_use]
    pub fn ends(self) -> &'static [&'static str] {
        match self {
            Self::Pdf => &["pdf"],
            Self::Ofd => &["ofd"],
            Self::Docx => &["docx"],
            Self::Xlsx => &["xlsx"],
            Self::Pptx => &["pptx"],
            Self::Zip => &["zip"],
            Self::Png => &["png"],
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Mp4 => &["mp4", "m4v"],
        }
    }

    /// Media type (IANA).
    #[must_use]
    pub fn media(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Ofd => "application/ofd",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Pptx => {
                "application/vnd.openxmlformats-officedocument.presentationml.presentation"
            }
            Self::Zip => "application/zip",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Mp4 => "video/mp4",
        }
    }

    /// A file's name with the end that its content has: `报告.exe` that is a PDF becomes `报告.exe.pdf`.
    #[must_use]
    pub fn named(self, name: &str) -> String {
        let own = name.rsplit_once('.').map(|(_, end)| end);
        let fits = own.is_some_and(|own| self.ends().iter().any(|e| e.eq_ignore_ascii_case(own)));
        match self.ends().first() {
            Some(end) if !fits => format!("{name}.{end}"),
            _ => name.to_owned(),
        }
    }

    /// What a content is; `None` when it is nothing that is known here, or a document that brings programs (macros).
    pub fn of(mut content: impl Read + Seek) -> std::io::Result<Option<Self>> {
        let mut head = Vec::with_capacity(16);
        content.by_ref().take(16).read_to_end(&mut head)?;
        let begins = |bytes: &[u8]| head.starts_with(bytes);
        Ok(if begins(b"%PDF-") {
            Some(Self::Pdf)
        } else if begins(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if begins(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if head.get(4..8) == Some(b"ftyp".as_slice()) {
            Some(Self::Mp4)
        } else if begins(b"PK\x03\x04") {
            content.seek(SeekFrom::Start(0))?;
            packed(content)
        } else {
            None
        })
    }
}

/// What a ZIP is by the names within; one that cannot be read as a whole is none.
fn packed(content: impl Read + Seek) -> Option<FileSort> {
    let archive = zip::ZipArchive::new(content).ok()?;
    let names: Vec<&[u8]> = archive.file_names_raw().take(NAMES).collect();
    let has = |name: &[u8]| names.contains(&name);
    let under = |folder: &[u8]| names.iter().any(|n| n.starts_with(folder));
    if names.iter().any(|n| n.ends_with(b"vbaProject.bin")) {
        return None;
    }
    let office = has(b"[Content_Types].xml");
    Some(if has(b"OFD.xml") {
        FileSort::Ofd
    } else if office && under(b"word/") {
        FileSort::Docx
    } else if office && under(b"xl/") {
        FileSort::Xlsx
    } else if office && under(b"ppt/") {
        FileSort::Pptx
    } else {
        FileSort::Zip
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    fn of(bytes: &[u8]) -> Option<FileSort> {
        FileSort::of(Cursor::new(bytes)).unwrap()
    }

    fn zipped(names: &[&str]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in names {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(b"x").unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn the_content_tells_what_it_is() {
        for (bytes, sort) in [
            (b"%PDF-1.7 x".to_vec(), FileSort::Pdf),
            (b"\x89PNG\r\n\x1a\n....".to_vec(), FileSort::Png),
            (b"\xff\xd8\xff\xe0".to_vec(), FileSort::Jpeg),
            (b"\0\0\0\x20ftypisom".to_vec(), FileSort::Mp4),
            (zipped(&["OFD.xml", "Doc_0/Document.xml"]), FileSort::Ofd),
            (zipped(&["[Content_Types].xml", "word/document.xml"]), FileSort::Docx),
            (zipped(&["[Content_Types].xml", "xl/workbook.xml"]), FileSort::Xlsx),
            (zipped(&["[Content_Types].xml", "ppt/presentation.xml"]), FileSort::Pptx),
            (zipped(&["a/b.txt"]), FileSort::Zip),
        ] {
            assert_eq!(of(&bytes), Some(sort));
        }
        let macros = zipped(&["[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"]);
        let programs: [&[u8]; 7] = [
            b"",
            b"MZ\x90\0",
            b"<!DOCTYPE html><script>",
            b"<svg xmlns='http://www.w3.org/2000/svg'>",
            b"#!/bin/sh",
            b"PK\x03\x04 no archive",
            &macros,
        ];
        for bytes in programs {
            assert_eq!(of(bytes), None, "{:?}", bytes.get(..8));
        }
    }

    #[test]
    fn a_name_gets_the_end_of_its_content() {
        assert_eq!(FileSort::Pdf.named("报告.PDF"), "报告.PDF");
        assert_eq!(FileSort::Pdf.named("报告.exe"), "报告.exe.pdf");
        assert_eq!(FileSort::Jpeg.named("图.jpeg"), "图.jpeg");
        assert_eq!(FileSort::Zip.named("源码"), "源码.zip");
    }
}

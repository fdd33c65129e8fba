//! Encodings found and read, and streams cut into blocks of any size.

use super::*;

const TEXT: &str = "编号,名称,地址\n1,杭州市公共数据平台,浙江省杭州市西湖区文三路\n2,宁波市数据局,浙江省宁波市海曙区中山路\n";

fn decode(bytes: Vec<u8>) -> (&'static str, String, Tally) {
    let letters = detect(&bytes, true);
    let mut blocks = Blocks::new(Box::new(std::io::Cursor::new(bytes)), letters);
    let mut text = String::new();
    while blocks.next_block(&mut text).unwrap().is_some() {}
    (letters.name, text, blocks.tally)
}

fn utf16(text: &str, be: bool, bom: bool) -> Vec<u8> {
    let text = if bom { format!("\u{feff}{text}") } else { text.to_owned() };
    text.encode_utf16().flat_map(|u| if be { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
}

#[test]
fn encodings_are_found_and_read() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("utf-8", TEXT.as_bytes().to_vec()),
        ("utf-8-bom", format!("\u{feff}{TEXT}").into_bytes()),
        ("gb18030", GB18030.encode(TEXT).0.into_owned()),
        ("utf-16le", utf16(TEXT, false, true)),
        ("utf-16be", utf16(TEXT, true, true)),
        ("utf-16le", utf16(TEXT, false, false)),
        ("utf-16be", utf16(TEXT, true, false)),
        ("utf-8", b"a,b\n1,2\n".to_vec()),
    ];
    for (name, bytes) in cases {
        let (found, text, tally) = decode(bytes);
        assert_eq!(found, name);
        assert_eq!(tally.damaged, 0);
        assert_eq!(text.trim_start_matches('\u{feff}').lines().count(), text.lines().count());
        assert!(
            text.contains(if text.is_ascii() { "1,2" } else { "1,杭州市公共数据平台" }),
            "{name}: {text}"
        );
    }
    let traditional = "編號,資料名稱,地址\n1,桃園市政府資料開放平臺,桃園市桃園區縣府路\n2,臺北市政府,臺北市信義區市府路\n";
    let (found, text, _) = decode(BIG5.encode(traditional).0.into_owned());
    assert_eq!((found, text.as_str()), ("big5", traditional));
    let (found, text, _) =
        decode(b"name,city\ncaf\xe9,Z\xfcrich\nd\xe9j\xe0,M\xfcnchen\n".to_vec());
    assert_eq!((found, text.contains("café,Zürich")), ("windows-1252", true), "{text}");
}

#[test]
fn mixed_and_damaged_lines() {
    let mut bytes = TEXT.as_bytes().to_vec();
    bytes.extend_from_slice(&GB18030.encode("3,温州市大数据管理局,温州市鹿城区\n").0);
    let (found, text, tally) = decode(bytes);
    assert_eq!((found, tally.damaged, tally.legacy), ("utf-8", 0, 1));
    assert!(text.ends_with("3,温州市大数据管理局,温州市鹿城区\n"), "{text}");
    let mut bytes = TEXT.as_bytes().to_vec();
    bytes.extend_from_slice("3,温州市大数据管理局".as_bytes());
    bytes.extend_from_slice(b"\xe6\xb8,x\n");
    let (_, text, tally) = decode(bytes);
    assert_eq!(tally.damaged, 1);
    assert!(text.contains("温州市大数据管理局\u{fffd},x"), "{text}");
}

proptest::proptest! {
    /// However a stream is cut into blocks, and whatever it gives at a time, the text is the same.
    #[test]
    fn blocks_of_any_size_make_the_same_text(
        lines in proptest::collection::vec(("[a-z,\"杭州 é]{0,12}", 0_u8..8), 0..40),
        end in proptest::sample::select(vec!["\n", "\r\n", "\r"]),
        way in 0_u8..5,
        step in 64_usize..300,
    ) {
        let text: String = lines.iter().map(|(line, _)| format!("{line}{end}")).collect();
        let bytes = match way {
            0 => text.into_bytes(),
            1 => format!("\u{feff}{text}").into_bytes(),
            2 => GB18030.encode(&text).0.into_owned(),
            3 => utf16(&text, false, true),
            // Lines of two encodings, and damaged ones.
            _ => lines.iter().flat_map(|(line, kind)| {
                let line = format!("{line}{end}");
                match kind {
                    0 => GB18030.encode(&line).0.into_owned(),
                    1 => [b"\xe6\xb8".as_slice(), line.as_bytes()].concat(),
                    _ => line.into_bytes(),
                }
            }).collect(),
        };
        let letters = detect(&bytes, true);
        let read = |step: usize| {
            let trickle = Trickle(std::io::Cursor::new(bytes.clone()));
            let mut blocks = Blocks::new(Box::new(trickle), letters).by_steps(step);
            let (mut text, mut damaged, mut count) = (String::new(), false, 0);
            while let Some(block) = blocks.next_block(&mut text).unwrap() {
                damaged |= block.damaged;
                count += 1;
            }
            // Sound lines are counted in blocks that are not sound as a whole only.
            ((text, damaged, blocks.tally.legacy, blocks.tally.damaged), count)
        };
        let ((whole, _), (parts, count)) = (read(BLOCK), read(step));
        proptest::prop_assert_eq!(whole, parts);
        proptest::prop_assert!(bytes.len() < 2 * step || count > 1);
    }
}

/// Gives a few bytes at a time.
struct Trickle(std::io::Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let most = buf.len().min(7);
        self.0.read(&mut buf[..most])
    }
}

#[test]
fn late_chinese_letters_are_read() {
    let mut bytes = b"id,name\n".to_vec();
    for n in 0..200_000 {
        bytes.extend_from_slice(format!("{n},plain\n").as_bytes());
    }
    bytes.extend_from_slice(&GB18030.encode("200000,杭州市\n").0);
    let letters = detect(bytes.get(..1 << 20).unwrap(), false);
    let mut blocks = Blocks::new(Box::new(std::io::Cursor::new(bytes)), letters);
    let mut text = String::new();
    while blocks.next_block(&mut text).unwrap().is_some() {}
    assert!(text.ends_with("200000,杭州市\n"));
}

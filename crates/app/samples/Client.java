// Calls one granted resource. Needs Java 11; the secret comes from the environment:
//   QT_SECRET=… java Client.java
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Client {
    static final String HOST = "@HOST@", PATH = "@PATH@", QUERY = "@QUERY@", KEY = "@KEY@";

    static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte b : bytes) text.append(String.format("%02x", b));
        return text.toString();
    }

    public static void main(String[] args) throws Exception {
        String secret = System.getenv("QT_SECRET");
        if (secret == null) throw new IllegalStateException("set QT_SECRET");
        byte[] random = new byte[16];
        new SecureRandom().nextBytes(random);
        String timestamp = Long.toString(System.currentTimeMillis()), nonce = hex(random);
        String bodyHash = hex(MessageDigest.getInstance("SHA-256").digest(new byte[0]));
        // What is signed is the query as it is sent: Chinese and the like percent-encoded.
        URI uri = URI.create(URI.create(HOST + PATH + "?" + QUERY).toASCIIString());
        String text = String.join("\n", "GET", PATH, uri.getRawQuery(), bodyHash, timestamp, nonce);
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
        String signature = hex(mac.doFinal(text.getBytes(StandardCharsets.UTF_8)));
        HttpRequest call = HttpRequest.newBuilder(uri)
            .header("X-Qt-Key", KEY).header("X-Qt-Timestamp", timestamp).header("X-Qt-Nonce", nonce)
            .header("X-Qt-Algorithm", "HMAC-SHA256").header("X-Qt-Signature", signature).build();
        HttpResponse<String> answer =
            HttpClient.newHttpClient().send(call, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() >= 400) {
            System.err.println(answer.statusCode() + " " + answer.body());
            System.exit(1);
        }
        System.out.println(answer.body());
    }
}

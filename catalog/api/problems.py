"""Every error the API may answer with: code, status, title and what to do. Read by ``errors`` and the schema.

The page at ``/api/errors`` shows this table; a problem's ``type`` points at its line there.
"""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join

PAGE = "/api/errors"

PROBLEMS: dict[str, tuple[int, str, str]] = {
    "malformed": (400, "Malformed request", "The body is not valid JSON or not a valid form."),
    "invalid": (422, "Invalid values", "Correct the fields named in `errors` and send the request again."),
    "not_authenticated": (401, "Key missing", "Send `Authorization: Bearer vit_sk_…`."),
    "key_invalid": (
        401,
        "Key not valid",
        "The key is wrong, expired or revoked. Ask your administrator for a new one.",
    ),
    "scope_missing": (403, "Scope missing", "`detail` names the scope. Use a key that has it."),
    "origin_not_allowed": (403, "Page not allowed", "Add the page's origin to the publishable key's origins."),
    "permission_denied": (403, "Not allowed with this key", "A publishable key may only start and read searches."),
    "not_found": (404, "Not found", "Nothing with this address belongs to this merchant."),
    "method_not_allowed": (405, "Method not allowed", "The header `Allow` lists what this address takes."),
    "unsupported_media_type": (415, "Content type not taken", "Send JSON or multipart/form-data."),
    "length_required": (411, "Length required", "Send a `Content-Length`; chunked bodies are not taken."),
    "body_too_large": (413, "Body too large", "Send less at once, or use a bulk upload."),
    "too_many_files": (413, "Too many files", "Send fewer files at once, or use a bulk upload."),
    "throttled": (429, "Too many requests", "Wait for as many seconds as `Retry-After` says."),
    "streams_too_many": (429, "Too many event streams", "Close one, or ask with `Prefer: wait` until one is free."),
    "internal_error": (500, "Our fault", "Nothing you can correct. Report the `request_id`."),
    "unavailable": (503, "Service away", "A part of Vitrine is away. Wait for as many seconds as `Retry-After` says."),
    "worker_unavailable": (503, "No worker", "No worker is running. Wait for as many seconds as `Retry-After` says."),
    "deadline_passed": (503, "No worker answered in time", "Wait as `Retry-After` says, then ask again."),
    "broker_unavailable": (503, "Broker away", "Redis is away. Wait for as many seconds as `Retry-After` says."),
    "decoder_unavailable": (503, "No decoder", "The machine cannot start a process. Wait as `Retry-After` says."),
    "storage_unavailable": (503, "Storage away", "The photo storage is away. Wait as `Retry-After` says."),
    "cursor_invalid": (422, "Cursor not valid", "Start again without `cursor`."),
    "idempotency_key_invalid": (422, "Idempotency-Key not valid", "Use 1 to 255 printable ASCII characters."),
    "idempotency_key_reused": (409, "Idempotency-Key reused", "Use a new key for a new request."),
    "idempotency_in_progress": (409, "First request still running", "Wait a moment and send the same request again."),
    "photo_missing": (422, "Photo gone", "Its bytes are no longer stored. Send the photo again."),
    "photo_gone": (410, "Photo gone", "It was deleted, or its bytes were: there is nothing to look at any more."),
    "candidate_not_found": (404, "Not among the candidates", "Name a product that was found, of a finished search."),
    "explanation_failed": (500, "Explanation failed", "Nothing you can correct. The worker's log says why."),
    "photo_base64_invalid": (422, "Not base64", "Encode the photo's bytes as standard base64."),
    "photo_too_large": (413, "Photo too large", "Send a smaller file."),
    "photo_empty": (422, "Photo empty", "The file has no bytes."),
    "photo_not_an_image": (422, "Not a photo", "Send a JPEG, PNG, WebP, GIF, BMP or TIFF."),
    "photo_unreadable": (422, "Photo damaged", "Send an undamaged file."),
    "photo_truncated": (422, "Photo cut off", "Send the whole file."),
    "photo_too_many_pixels": (422, "Photo has too many pixels", "Scale it down."),
    "photo_decoder_timeout": (422, "Photo takes too long", "Export it anew as JPEG."),
    "photo_decoder_memory": (422, "Photo takes too much memory", "Scale it down, or export it as JPEG."),
    "photo_decoder_crashed": (422, "Photo breaks the decoder", "It is damaged. Export it anew."),
    "photo_unsupported_type": (422, "Photo type not taken", "Export it as JPEG or PNG."),
    "photo_heic_unsupported": (422, "HEIC not readable here", "Export it as JPEG."),
    "photo_twice": (422, "Photo sent twice", "Send the photo itself or its address, not both."),
    "photo_url_invalid": (422, "Photo address not valid", "Send an http or https address without a password."),
    "photo_url_refused": (422, "Photo address not allowed", "Send an address on the public internet."),
    "photo_url_unreachable": (422, "Photo not reachable", "Nothing answers at this address; send the photo itself."),
    "photo_url_timeout": (422, "Photo server too slow", "Send the photo itself."),
    "photo_url_redirects": (422, "Too many redirects", "Send the address that the photo really has."),
    "photo_url_status": (422, "Photo server refused", "The photo's server answered with an error; see `detail`."),
    "photo_url_busy": (503, "Too many fetches", "Wait as `Retry-After` says, or send the photo itself."),
    "photos_missing": (422, "Photos missing", "Send at least one photo."),
    "photos_refused": (422, "Photos refused", "`errors` names every photo that cannot be used; nothing was started."),
    "search_empty": (422, "Empty search", "Send a photo, some words, or both."),
    "example_not_found": (404, "Example not found", "This merchant has no such search any more. Send the photo."),
    "example_without_photo": (422, "Example without photo", "Wait until a photo of it is indexed, or name another."),
    "region_invalid": (422, "Region not valid", "Send left, top, right, bottom as parts (0 to 1) of the photo."),
    "region_without_photo": (422, "Region without photo", "Send the photo too."),
    "product_missing": (422, "Product missing", "Send `product_id` or `sku`."),
    "product_not_found": (404, "Product not found", "This merchant has no such product."),
    "sku_duplicate": (409, "Sku taken", "Change the product that has this sku, or use another one."),
    "synonyms_too_many": (409, "Too many synonyms", "Delete a set before you add another."),
    "upload_empty": (422, "Upload empty", "The file has no bytes."),
    "upload_too_large": (413, "Upload too large", "Split it into several uploads."),
    "upload_finished": (409, "Upload finished", "A finished upload cannot be cancelled."),
    "upload_expired": (410, "Upload expired", "Its rows are not kept any more (see `VITRINE_UPLOADS_KEPT_DAYS`)."),
    "job_finished": (409, "Job finished", "A finished job cannot be cancelled."),
    "job_expired": (410, "Job expired", "Its results are not kept any more (see `VITRINE_JOBS_KEPT_DAYS`). Ask anew."),
    "item_decided": (409, "Item decided", "Somebody has already decided on this item."),
    "item_claimed": (409, "Item claimed", "A reviewer or another key has it now. Take another, or wait."),
    "decision_undone": (409, "Nothing to undo", "No decision on this item stands."),
    "decision_superseded": (409, "Decided again", "The item was decided on again meanwhile. Read it."),
    "split_decided": (409, "Parts decided", "Some parts of the photo were decided on: undo those first."),
    "scopes_missing": (422, "Scopes missing", "Send `scopes` or a `preset` for a secret key."),
    "scopes_fixed": (422, "Scopes fixed", "A publishable key may only search: leave `scopes` and `preset` out."),
    "scope_exceeded": (403, "Scope not yours to give", "Use a key that has every scope that it hands out."),
    "expiry_exceeded": (403, "Time not yours to give", "Send an `expires_at` no later than your own key's."),
    "rate_exceeded": (403, "Requests not yours to give", "Send a `rate_limit` no higher than your own key's."),
    "origins_missing": (422, "Origins missing", "Name the origins of the pages that will use the key, or `*`."),
    "origins_not_taken": (422, "Origins not taken", "Only publishable keys have origins."),
    "origins_too_many": (422, "Too many origins", "Use several keys."),
    "origin_invalid": (422, "Origin not valid", "Write it like `https://shop.example`, without a path."),
    "expiry_passed": (422, "Expiry date passed", "Send a time to come, or `null`."),
    "key_ended": (409, "Key ended", "It expired or was revoked. Make a new one."),
    "key_replaced": (409, "Key replaced", "Rotate the key that replaced it."),
    "item_without_candidate": (422, "No candidate", "Correct the item instead of accepting it."),
    "webhook_endpoints_too_many": (409, "Too many endpoints", "Delete an endpoint, or change one."),
    "webhook_endpoint_disabled": (409, "Endpoint disabled", "Enable it (`enabled: true`), then ask again."),
}


def title_of(code: str, status: int) -> str:
    """The title of a problem; one that is not in the table is called after its status."""
    return PROBLEMS[code][1] if code in PROBLEMS else HTTPStatus(status).phrase


def problems_page(request: HttpRequest) -> HttpResponse:
    """A plain page with every code, so that a problem's ``type`` leads somewhere."""
    rows = format_html_join(
        "", '<dt id="{0}">{0} ({1})</dt><dd>{2}. {3}</dd>', ((code, *PROBLEMS[code]) for code in PROBLEMS)
    )
    return HttpResponse(
        format_html(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Vitrine API: errors</title>'
            "<h1>Errors of the Vitrine API</h1><dl>{}</dl></html>",
            rows,
        )
    )

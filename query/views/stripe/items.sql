-- What was paid for, an item each: amounts in the smallest unit, times in seconds. The items of a paid invoice add up to
-- its total, whatever it has beside the lines that are there: shipping, credits, lines behind the tenth.
WITH paid AS (
    SELECT
        *,
        amount - coalesce(list_sum([line.gross - line.discount FOR line IN lines]), 0)::BIGINT AS rest,
        discount - coalesce(list_sum([line.discount FOR line IN lines]), 0)::BIGINT AS rest_discount,
        total - amount - coalesce(list_sum([line.tax FOR line IN lines]), 0)::BIGINT AS rest_tax
    FROM invoiced
    WHERE status = 'paid'
),
-- One more than there are lines, without a line: the rest.
parts AS (
    SELECT * EXCLUDE (lines), unnest(list_append(lines, NULL)) AS line FROM paid
),
without_invoice AS (
    SELECT * FROM charges
    WHERE status = 'succeeded' AND paid AND captured
        AND coalesce(payment_intent, id) NOT IN (SELECT payment_id FROM paid_by WHERE payment_id IS NOT NULL)
)
SELECT
    coalesce(line.id, id || ':rest') AS item_id,
    CASE WHEN line IS NULL THEN 'invoice_rest' ELSE 'invoice_line' END AS kind,
    id AS invoice_id,
    NULL::VARCHAR AS charge_id,
    customer AS customer_id,
    CASE WHEN line IS NULL THEN subscription_id ELSE line.subscription_id END AS subscription_id,
    line.product_id AS product_id,
    line.price_id AS price_id,
    CASE WHEN line IS NULL THEN 'Rest of the invoice' ELSE line.description END AS description,
    line.quantity AS quantity,
    coalesce(
        line.subscription_id IS NOT NULL AND (line.is_of_subscription OR line.is_proration), false
    ) AS is_recurring,
    coalesce(line.is_proration, false) AS is_proration,
    coalesce(line.currency, currency) AS currency,
    CASE WHEN line IS NULL THEN rest ELSE line.gross - line.discount END AS amount,
    CASE WHEN line IS NULL THEN rest_discount ELSE line.discount END AS discount,
    CASE WHEN line IS NULL THEN rest_tax ELSE line.tax END AS tax,
    line.period_start AS period_start,
    line.period_end AS period_end,
    paid_at AS recognized_at
FROM parts
WHERE line IS NOT NULL OR rest <> 0 OR rest_tax <> 0
UNION ALL
SELECT
    id, 'charge', NULL, id, customer, NULL, NULL, NULL, description, NULL, false, false, lower(currency),
    coalesce(amount_captured, amount), NULL, NULL, NULL, NULL, created
FROM without_invoice

-- What credit notes took off invoices, as negative items in the shape of revenue_items: without what they gave back by
-- refunds, which are items of revenue_refunds.
WITH notes AS (
    SELECT
        *,
        total - coalesce(list_sum((refunds -> '$[*].amount_refunded')::BIGINT[]), 0) AS credited
    FROM credit_notes
    WHERE status = 'issued'
),
split AS (
    SELECT
        *,
        lower(currency) AS spelled,
        CASE WHEN total > 0 THEN divided(credited::HUGEINT * coalesce(total_excluding_tax, total), total) ELSE credited END
            AS without_tax
    FROM notes
    WHERE credited <> 0
)
SELECT
    id AS item_id, 'credit_note' AS kind, invoice AS invoice_id, NULL::VARCHAR AS charge_id, customer AS customer_id,
    NULL::VARCHAR AS subscription_id, NULL::VARCHAR AS product_id, NULL::VARCHAR AS price_id, reason AS description,
    NULL::BIGINT AS quantity, false AS is_recurring, false AS is_proration, spelled AS currency,
    money(-without_tax, spelled) AS gross,
    NULL::DECIMAL(38, 3) AS discount,
    money(-without_tax, spelled) AS amount,
    money(without_tax - credited, spelled) AS tax,
    money(-credited, spelled) AS total,
    NULL::TIMESTAMPTZ AS period_start,
    NULL::TIMESTAMPTZ AS period_end,
    to_timestamp(coalesce(effective_at, created)) AS recognized_at
FROM split

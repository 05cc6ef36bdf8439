-- What was paid for: one row for each line of a paid invoice, and for each paid charge without an invoice.
SELECT
    item_id, kind, invoice_id, charge_id, customer_id, subscription_id, product_id, price_id, description, quantity,
    is_recurring, is_proration, currency,
    money(amount + coalesce(discount, 0), currency) AS gross,
    money(discount, currency) AS discount,
    money(amount, currency) AS amount,
    money(tax, currency) AS tax,
    money(amount + coalesce(tax, 0), currency) AS total,
    to_timestamp(period_start) AS period_start,
    to_timestamp(period_end) AS period_end,
    to_timestamp(recognized_at) AS recognized_at
FROM items

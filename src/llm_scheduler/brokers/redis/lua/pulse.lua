-- A sign of life: {epoch or '', beat}
return { call('GET', KEYS[1]) or '', call('INCR', P .. 'beat') }

import { useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Grid, Table } from 'antd';
import { useEffect, useMemo, useRef, useState, type Key } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useSearchParams } from 'react-router';
import { MOST_ROWS, useTaskCounts, useTaskList, type TaskShown } from '../api/tasks';
import { isTyping } from '../app/keys';
import { EmptyState, ErrorView, PageHeader } from '../components/basics';
import { useFormat } from '../components/format';
import { useSliced } from '../components/sliced';
import { BulkBar } from '../features/tasks/BulkBar';
import { COLUMNS, DEFAULT_COLUMNS, PHONE_COLUMNS, useColumns, type ColumnName } from '../features/tasks/columns';
import { bodyOf, filterOf, isEmpty, paramsOf, type TaskFilter } from '../features/tasks/filter';
import { FilterBar } from '../features/tasks/FilterBar';
import { Peek } from '../features/tasks/Peek';
import { StatusTabs } from '../features/tasks/StatusTabs';
import { Toolbar } from '../features/tasks/Toolbar';

const COLUMNS_KEY = 'llms.columns';
const ROW_PX = 40;
const NEAR_PX = 600;

function useShownColumns(isPhone: boolean): [readonly ColumnName[], (columns: ColumnName[]) => void] {
  const [chosen, choose] = useState<ColumnName[]>(() => {
    const kept = (localStorage.getItem(COLUMNS_KEY) ?? '').split(',');
    const known = COLUMNS.filter((name) => kept.includes(name));
    return known.length ? known : DEFAULT_COLUMNS;
  });
  const keep = (columns: ColumnName[]) => {
    localStorage.setItem(COLUMNS_KEY, columns.join(','));
    choose(columns);
  };
  return [isPhone ? PHONE_COLUMNS : chosen, keep];
}

/** Room that is left below the table's top edge. */
function useHeight(): [React.RefObject<HTMLDivElement | null>, number] {
  const place = useRef<HTMLDivElement>(null);
  const [height, setHeight] = useState(480);
  useEffect(() => {
    const measure = () => {
      const top = place.current?.getBoundingClientRect().top ?? 200;
      setHeight(Math.max(280, innerHeight - Math.max(top, 120) - 100));
    };
    measure();
    addEventListener('resize', measure);
    const observer = new ResizeObserver(measure);
    if (place.current?.parentElement) observer.observe(place.current.parentElement);
    return () => {
      removeEventListener('resize', measure);
      observer.disconnect();
    };
  }, []);
  return [place, height];
}

export function Component() {
  const { t } = useTranslation('tasks');
  const navigate = useNavigate();
  const queries = useQueryClient();
  const format = useFormat();
  const isPhone = !Grid.useBreakpoint().md;
  const [params, setParams] = useSearchParams();
  const query = params.toString();
  const filter = useMemo(() => filterOf(new URLSearchParams(query)), [query]);
  const { status: _status, ...withoutStatus } = filter;
  const list = useTaskList(filter);
  const counts = useTaskCounts(withoutStatus);
  const [shown, setShown] = useShownColumns(isPhone);
  const columns = useColumns(shown);
  const [selected, setSelected] = useState<Key[]>([]);
  const [isAll, setAll] = useState(false);
  const [at, setAt] = useState<number | null>(null);
  const peeked = params.get('peek');
  const [place, height] = useHeight();
  const isShown = useSliced(list.data !== undefined);
  const isLoading = list.isLoading || (list.data !== undefined && !isShown);
  const rows = useMemo(() => (isShown && list.data?.pages.flatMap((page) => page.items)) || [], [list.data, isShown]);
  const matching = counts.data ? (filter.status ?? Object.keys(counts.data.counts)).reduce((sum, name) => sum + (counts.data.counts[name] ?? 0), 0) : undefined;

  const clear = () => {
    setSelected([]);
    setAll(false);
  };
  const change = (next: TaskFilter) => {
    clear();
    setAt(null);
    setParams(paramsOf(next));
  };
  const peek = (id: number | null) =>
    setParams((before) => {
      const next = new URLSearchParams(before);
      if (id === null) next.delete('peek');
      else next.set('peek', String(id));
      return next;
    }, { replace: true });

  const latest = useRef({ rows, at });
  latest.current = { rows, at };
  useEffect(() => {
    const hear = (event: KeyboardEvent) => {
      const { rows, at } = latest.current;
      if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target) || document.querySelector('.ant-modal-wrap:not([style*="none"])')) return;
      const step = event.key === 'j' || event.key === 'ArrowDown' ? 1 : event.key === 'k' || event.key === 'ArrowUp' ? -1 : 0;
      if (step) {
        event.preventDefault();
        setAt(Math.max(0, Math.min(rows.length - 1, (at ?? -1) + step)));
      } else if (event.key === 'Enter' && at !== null && rows[at] && !(event.target instanceof HTMLAnchorElement || event.target instanceof HTMLButtonElement)) void navigate(`/tasks/${rows[at].id}`);
    };
    addEventListener('keydown', hear);
    return () => removeEventListener('keydown', hear);
  }, [navigate]);

  const scrolled = (event: React.UIEvent) => {
    const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
    if (scrollHeight - scrollTop - clientHeight < NEAR_PX && list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage();
  };
  const actOn = isAll ? bodyOf(filter) : { ids: selected.map(Number) };
  return (
    <>
      <PageHeader title={t('title')} extra={<Toolbar filter={filter} shown={shown} onShown={isPhone ? undefined : setShown} />} />
      <StatusTabs counts={counts.data?.counts} chosen={filter.status} onChoose={(status) => change({ ...withoutStatus, ...(status ? { status } : {}) })} />
      <FilterBar filter={filter} onChange={change} />
      <BulkBar count={isAll ? (matching ?? selected.length) : selected.length} filter={actOn} onStarted={clear} onClear={clear}>
        {!isAll && matching !== undefined && matching > selected.length && <Button size="small" type="link" onClick={() => setAll(true)}>{t('selectMatching')} ({format.number(matching)})</Button>}
      </BulkBar>
      {list.isHeld && <Alert style={{ marginBottom: 8 }} type="info" banner title={rows.length >= MOST_ROWS ? t('most', { count: rows.length }) : t('held')} action={<Button size="small" onClick={() => { setAt(null); setParams(paramsOf(filter)); void queries.resetQueries({ queryKey: ['tasks'] }); }}>{t('toNewest')}</Button>} />}
      {list.error && !list.data && <ErrorView error={list.error} onRetry={() => void list.refetch()} />}
      <div ref={place} style={{ minHeight: height + 60 }}>
        <Table<TaskShown>
          virtual
          size="small"
          rowKey="id"
          pagination={false}
          loading={isLoading}
          columns={columns}
          dataSource={rows}
          scroll={{ x: columns.reduce((sum, { width }) => sum + Number(width ?? 100), isPhone ? 0 : 44), y: height }}
          onScroll={scrolled}
          rowSelection={isPhone ? undefined : { selectedRowKeys: isAll ? rows.map(({ id }) => id) : selected, onChange: (keys) => { setAll(false); setSelected(keys); }, columnWidth: 44 }}
          onRow={(task, index) => ({
            onClick: (event) => {
              if (event.target instanceof HTMLElement && event.target.closest('a,button,input,label')) return;
              setAt(index ?? null);
              peek(task.id);
            },
            style: { cursor: 'pointer', height: ROW_PX, ...(index === at || String(task.id) === peeked ? { background: 'var(--ant-control-item-bg-active, #8882)' } : {}) },
          })}
          locale={{
            emptyText: isLoading ? <span /> : isEmpty(filter)
              ? <EmptyState title={t('emptyAll')} hint={t('emptyAllHint')} action={<Link to="/playground"><Button type="primary">{t('emptyAllAction')}</Button></Link>} />
              : <EmptyState title={t('empty')} hint={t('emptyHint')} action={<Button onClick={() => change({})}>{t('filter.clear')}</Button>} />,
          }}
        />
      </div>
      {peeked && <Peek id={Number(peeked)} onClose={() => peek(null)} />}
    </>
  );
}

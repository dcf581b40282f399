import { Table, type TableProps } from 'antd';
import { useEffect, useRef } from 'react';

/** A table for `scroll.x`: where it is narrower than that, the keyboard reaches it and its arrows scroll it. */
export function DataTable<T extends object>(props: TableProps<T>) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const box = place.current?.querySelector<HTMLElement>('.ant-table-content');
    if (!box) return;
    const measure = () => {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute('tabindex');
    };
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    if (box.firstElementChild) observer.observe(box.firstElementChild);
    return () => observer.disconnect();
  }, []);
  return <div ref={place} style={{ minWidth: 0 }}><Table<T> {...props} /></div>;
}
